// SPDX-License-Identifier: Apache-2.0

package network

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newList(a *app.App) *cobra.Command {
	var o output.Options
	var filters []string
	var whole bool
	cmd := &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short: "List networks",
		Long:  "List networks.\n\n" + output.Help,
		Example: `  vethway network ls
  vethway network ls --filter label=tier=db -q
  vethway network ls -o json`,
		Args: cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			list, err := c.Networks(cmd.Context(), filters)
			if err != nil {
				return err
			}
			id := func(n api.Network) string {
				if whole {
					return n.ID
				}
				return app.ShortID(n.ID)
			}
			return output.Print(a.Streams, o, "NetworkList", list, id, func(list []api.Network) *output.Table {
				t := output.NewTable("NETWORK ID", "NAME", "SUBNETS", "CONTAINERS", "BRIDGE", "FLAGS")
				for _, n := range list {
					t.Row(id(n), n.Name, subnets(n), strconv.Itoa(len(n.Containers)), n.Bridge, flags(n))
				}
				return t
			})
		}),
	}
	o.AddFlags(cmd, true)
	cmd.Flags().StringArrayVarP(&filters, "filter", "f", nil, "name=, id=, driver= or label=KEY[=VALUE]")
	cmd.Flags().BoolVar(&whole, "no-trunc", false, "print whole IDs")
	cmd.Flags().Lookup("quiet").Usage = "print IDs only"
	return cmd
}

func subnets(n api.Network) string {
	var out []string
	for _, c := range n.IPAM.Config {
		out = append(out, c.Subnet.String())
	}
	return strings.Join(out, ",")
}

// flags are what sets a network apart from the default.
func flags(n api.Network) string {
	var out []string
	if n.Internal {
		out = append(out, "internal")
	}
	if n.Options[api.OptionMasquerade] == "false" {
		out = append(out, "no-masquerade")
	}
	if n.Options[api.OptionICC] == "false" {
		out = append(out, "no-icc")
	}
	return strings.Join(out, ",")
}
