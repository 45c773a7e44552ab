// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newList(a *app.App) *cobra.Command {
	var o output.Options
	var f filterFlags
	cmd := &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short: "List NAT sessions",
		Long: `List NAT sessions: what the initiator sends, and what the answering side sends back, so that the difference is the
translation.

` + output.Help,
		Example: `  vethway flow ls
  vethway flow ls --container c1 --proto tcp --limit 20`,
		Args: cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			filter, err := f.parse()
			if err != nil {
				return err
			}
			list, err := c.Flows(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return Show(a, o, list)
		}),
	}
	o.AddFlags(cmd, false)
	f.addFlags(a, cmd)
	cmd.Flags().IntVar(&f.filter.Limit, "limit", 0, "at most so many (default: all)")
	return cmd
}

// Show prints flows.
func Show(a *app.App, o output.Options, list []api.Flow) error {
	return output.Print(a.Streams, o, "FlowList", list, nil, func(list []api.Flow) *output.Table {
		t := output.NewTable("PROTO", "KIND", "CONTAINER", "ORIGINAL", "REPLY", "STATE", "PACKETS", "BYTES", "IDLE")
		for _, f := range list {
			state := f.State
			if f.Stale {
				state = "stale"
			}
			t.Row(f.Protocol, f.Kind, f.Container, arrow(f.Original), arrow(f.Reply), state,
				fmt.Sprintf("%d/%d", f.Packets, f.RPackets), app.Bytes(f.Bytes)+" / "+app.Bytes(f.RBytes),
				app.Duration(time.Duration(f.IdleSeconds*float64(time.Second))))
		}
		return t
	})
}

func arrow(t api.Tuple) string { return t.Src.String() + " -> " + t.Dst.String() }
