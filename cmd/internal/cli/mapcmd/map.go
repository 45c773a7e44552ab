// SPDX-License-Identifier: Apache-2.0

// Package mapcmd holds `vethway map` and its verbs, one a file. It reads the pinned maps itself: the daemon may be down.
package mapcmd

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/maps"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Group("map", "Read the packet programs' maps, also while the daemon is down", newList(a), newDump(a), newGet(a))
}

// decoder opens the instance's pins.
func decoder(a *app.App) (*maps.Decoder, error) {
	d, err := maps.NewDecoder(maps.DecoderConfig{PinDir: a.PinDir()})
	if err != nil {
		return nil, fmt.Errorf("read maps: %w", err)
	}
	return d, nil
}

// explain gives the decoder's errors their exit codes.
func explain(a *app.App, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, maps.ErrNoMap):
		return exit.Errorf(exit.NoPins, "%w", err).WithHint("vethway map ls; sudo vethwayd; or name the pins' directory (here %s) with --bpffs", a.PinDir())
	case errors.Is(err, maps.ErrNoEntry):
		return exit.Errorf(exit.Of(api.NotFound), "%w", err)
	case errors.Is(err, maps.ErrBadKey):
		return exit.Errorf(exit.Of(api.InvalidArgument), "%w", err).WithHint("vethway map get --help")
	case errors.Is(err, maps.ErrOpaque):
		return exit.Errorf(exit.Of(api.Unsupported), "%w", err)
	case errors.Is(err, fs.ErrPermission):
		return exit.Errorf(exit.Capability, "%w", err).WithHint("sudo vethway map ls")
	}
	return err
}

// show prints rows, whose columns are their fields.
func show(a *app.App, o output.Options, kind string, rows []maps.Row) error {
	return output.Print(a.Streams, o, kind, rows, nil, func(rows []maps.Row) *output.Table {
		if len(rows) == 0 {
			return output.NewTable()
		}
		t := output.NewTable(output.Headers(rows[0].Names())...)
		for _, r := range rows {
			t.Row(cells(r)...)
		}
		return t
	})
}

// cells are a row's texts; what is absent is empty, as in every other table.
func cells(r maps.Row) []string {
	text := r.Text()
	for i := range text {
		if text[i] == "-" {
			text[i] = ""
		}
	}
	return text
}

// complete completes names of maps that are pinned.
func complete(a *app.App) app.Completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		d, err := decoder(a)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		list, err := d.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		names := make([]string, 0, len(list))
		for _, m := range list {
			names = append(names, m.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
