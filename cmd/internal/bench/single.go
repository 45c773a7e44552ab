// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// single is what the commands share that measure vethway by itself, or next to it: size and drop.
type single struct {
	format  string
	out     string
	verbose bool
}

// singleReport is what comes of one.
type singleReport interface {
	Write(w io.Writer) error
	WriteText(w io.Writer) error
	Save(path string) error
}

func (o *single) flags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.format, "output", "o", "table", "table or json")
	flags.StringVar(&o.out, "out", "", "also save the JSON to this `file`")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say what is being done")
}

// begin checks what the command was given, and makes its log.
func (o *single) begin(command string, std *streams.Streams) (*slog.Logger, error) {
	if !slices.Contains([]string{"table", "json"}, o.format) {
		return nil, fmt.Errorf("no output format %q: use table or json", o.format)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("network namespaces can only be made by root: try `sudo vethway-bench %s`", command)
	}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: level})), nil
}

// deliver saves the report and prints it.
func (o *single) deliver(rep singleReport, std *streams.Streams) error {
	var err error
	if o.out != "" {
		err = rep.Save(o.out)
	}
	if o.format == "json" {
		return errors.Join(err, rep.Write(std.Out))
	}
	return errors.Join(err, rep.WriteText(std.Out))
}
