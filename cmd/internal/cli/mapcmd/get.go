// SPDX-License-Identifier: Apache-2.0

package mapcmd

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/maps"
)

func newGet(a *app.App) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use:   "get [flags] MAP KEY",
		Short: "Print one entry of a map",
		Long: `Print one entry of a map. Keys are written as in the output of "map dump":

  flows4                    tcp 172.30.1.2:40000 192.0.2.3:80
  flows6                    tcp [fd00:1::2]:40000 [2001:db8::3]:80
  ways                      17, the part of a flow's way in front of the dot
  published                 8080/tcp   192.0.2.2:8080/udp   [::]:8080/tcp
  endpoints                 172.30.1.2
  addresses                 172.30.1.2   172.30.1.0/24   (the longest prefix that covers it)
  veths, uplinks            the interface's number
  networks, generations     the number
  port_use                  8080/tcp
  counters                  HOOK/REASON`,
		Example: `  vethway map get endpoints 172.31.2.2
  vethway map get published 8070/tcp`,
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: app.CompleteInTurn(false, complete(a)),
		RunE: func(_ *cobra.Command, args []string) error {
			a.Started = true
			d, err := decoder(a)
			if err != nil {
				return err
			}
			row, err := d.Get(args[0], strings.Join(args[1:], " "))
			if err != nil {
				return explain(a, err)
			}
			return show(a, o, "MapEntryList", []maps.Row{row})
		},
	}
	o.AddFlags(cmd, false)
	return cmd
}
