// SPDX-License-Identifier: Apache-2.0

package mapcmd

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/maps"
)

func newDump(a *app.App) *cobra.Command {
	var o output.Options
	var limit int
	cmd := &cobra.Command{
		Use:   "dump [flags] MAP",
		Short: "Print every entry of a map, decoded",
		Long:  "Print every entry of a map, decoded and in order; of an array, those that are not zero.\n\n" + output.Help,
		Example: `  vethway map dump endpoints
  vethway map dump flows4 --limit 20
  vethway map dump published -o json`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: app.CompleteInTurn(false, complete(a)),
		RunE: func(_ *cobra.Command, args []string) error {
			a.Started = true
			d, err := decoder(a)
			if err != nil {
				return err
			}
			var rows []maps.Row
			err = d.Dump(args[0], func(r maps.Row) bool {
				rows = append(rows, r)
				return limit == 0 || len(rows) < limit
			})
			if err != nil {
				return explain(a, err)
			}
			return show(a, o, "MapEntryList", sorted(rows))
		},
	}
	o.AddFlags(cmd, false)
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many, whichever come first (default: all)")
	return cmd
}
