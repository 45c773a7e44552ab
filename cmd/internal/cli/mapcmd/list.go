// SPDX-License-Identifier: Apache-2.0

package mapcmd

import (
	"fmt"

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
			return output.Print(a.Streams, o, "MapList", rows, nil, func([]maps.Row) *output.Table { return listing(list) })
		},
	}
	o.AddFlags(cmd, false)
	return cmd
}

// listing leaves out what hardly anybody asks for; the other formats have it.
func listing(list []maps.Info) *output.Table {
	t := output.NewTable("NAME", "TYPE", "ENTRIES", "MAX ENTRIES", "MEMORY", "SCHEMA", "ID")
	for _, m := range list {
		entries := ""
		if m.Entries >= 0 {
			entries = fmt.Sprint(m.Entries)
		}
		t.Row(m.Name, m.Type, entries, fmt.Sprint(m.MaxEntries), app.Bytes(m.Memory), fmt.Sprint(m.Schema), fmt.Sprint(m.ID))
	}
	return t
}
