// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/drop"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

type dropOptions struct {
	cfg     drop.Config
	format  string
	out     string
	verbose bool
}

func newDropCommand(io *streams.Streams) *cobra.Command {
	var o dropOptions
	cmd := &cobra.Command{
		Use:   "drop",
		Short: "Measure how fast denied sources are dropped: by XDP, at tc, and by nftables",
		Long: `Measure how fast denied sources are dropped: by vethway's XDP program, by the same rules at tc, and by nftables'
ingress hook, with lists of the same length. Generated frames arrive by a veth; each target drops those of its own host,
in turn, and its own counters say how many.`,
		Example: `  vethway-bench drop
  vethway-bench drop --prefixes 0 --rounds 21 --out drop.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, io) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.cfg.Prefixes, "prefixes", 1000, "prefixes on each list beside the one that matches")
	flags.IntVar(&o.cfg.Rounds, "rounds", 11, "how often each target has its turn")
	flags.DurationVar(&o.cfg.Warmup, "warmup", 50*time.Millisecond, "how long frames are sent before they count")
	flags.DurationVar(&o.cfg.Sample, "sample", 300*time.Millisecond, "how long they count")
	flags.StringVarP(&o.format, "output", "o", "table", "table or json")
	flags.StringVar(&o.out, "out", "", "also save the JSON to this `file`")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say what is being done")
	return cmd
}

func (o *dropOptions) run(cmd *cobra.Command, io *streams.Streams) error {
	if !slices.Contains([]string{"table", "json"}, o.format) {
		return fmt.Errorf("no output format %q: use table or json", o.format)
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces can only be made by root: try `sudo vethway-bench drop`")
	}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	o.cfg.Log = slog.New(slog.NewTextHandler(io.Err, &slog.HandlerOptions{Level: level}))
	rep, err := drop.Run(cmd.Context(), o.cfg)
	if err != nil {
		return err
	}
	if o.out != "" {
		err = rep.Save(o.out)
	}
	if o.format == "json" {
		return errors.Join(err, rep.Write(io.Out))
	}
	return errors.Join(err, rep.WriteText(io.Out))
}
