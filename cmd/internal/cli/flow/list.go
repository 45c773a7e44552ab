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

// screenful is how many flows a table on a terminal has, unless --limit says something else.
const screenful = 100

func newList(a *app.App) *cobra.Command {
	var o output.Options
	var f filterFlags
	cmd := &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short: "List NAT sessions",
		Long: `List NAT sessions, by network, protocol and who began them: what the initiator sends, and what the answering side sends
back, so that the difference is the translation. Packets and bytes are those sent and those sent back. Connections that are
spliced are listed as well, first: what they count are messages, and only what went from socket to socket.

` + output.Help,
		Example: `  vethway flow ls
  vethway flow ls --container c1 --proto tcp --limit 20`,
		Args: cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			filter, err := f.parse()
			if err != nil {
				return err
			}
			// A person is not flooded: one more than is shown tells whether there are more.
			flood := !cmd.Flags().Changed("limit") && o.ForPerson(a.Streams)
			if flood {
				filter.Limit = screenful + 1
			}
			list, err := c.Flows(cmd.Context(), filter)
			if err != nil {
				return err
			}
			more := flood && len(list) > screenful
			if more {
				list = list[:screenful]
			}
			if err := Show(a, o, list); err != nil || !more {
				return err
			}
			fmt.Fprintf(a.Streams.Err, "the first %d; --container, --network, --proto and the like choose, --limit 0 shows all\n", screenful)
			return nil
		}),
	}
	o.AddFlags(cmd, false)
	f.addFlags(a, cmd)
	cmd.Flags().IntVar(&f.filter.Limit, "limit", 0, "at most so many, 0: all (default: 100 on a terminal, else all)")
	return cmd
}

// Show prints flows.
func Show(a *app.App, o output.Options, list []api.Flow) error {
	return output.Print(a.Streams, o, "FlowList", list, nil, func(list []api.Flow) *output.Table {
		t := output.NewTable("NETWORK", "PROTO", "KIND", "CONTAINER", "ORIGINAL", "REPLY", "STATE", "PACKETS", "BYTES", "IDLE")
		for _, f := range list {
			state := f.State
			if f.Stale {
				state = "stale"
			}
			original, reply := tuples(f)
			t.Row(f.Network, f.Protocol, f.Kind, f.Container, original, reply, state,
				fmt.Sprintf("%d / %d", f.Packets, f.RPackets), app.Bytes(f.Bytes)+" / "+app.Bytes(f.RBytes),
				app.Duration(time.Duration(f.IdleSeconds*float64(time.Second))))
		}
		return t
	})
}

// tuples writes both directions. An echo request has an identifier, which the reply repeats, and no ports.
func tuples(f api.Flow) (original, reply string) {
	if f.Protocol != "icmp" && f.Protocol != "ipv6-icmp" {
		return f.Original.Src.String() + " -> " + f.Original.Dst.String(), f.Reply.Src.String() + " -> " + f.Reply.Dst.String()
	}
	return fmt.Sprintf("%s -> %s id %d", f.Original.Src.Addr(), f.Original.Dst.Addr(), f.Original.Src.Port()),
		fmt.Sprintf("%s -> %s id %d", f.Reply.Src.Addr(), f.Reply.Dst.Addr(), f.Reply.Dst.Port())
}
