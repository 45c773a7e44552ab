// SPDX-License-Identifier: Apache-2.0

package mapcmd

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/maps"
)

func newList(a *app.App) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short:   "List the maps with their sizes",
		Long:    "List the pinned maps with their types, entries and sizes.\n\n" + output.Help,
		Example: "  vethway map ls\n  vethway map ls -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.Started = true
			d, err := decoder(a)
			if err != nil {
				return err
			}
			list, err := d.List()
			if err != nil {
				return explain(a, err)
			}
			rows := make([]maps.Row, 0, len(list))
			for _, m := range list {
				rows = append(rows, m.Row())
			}
			return show(a, o, "MapList", rows)
		},
	}
	o.AddFlags(cmd, false)
	return cmd
}
