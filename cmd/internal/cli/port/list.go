// SPDX-License-Identifier: Apache-2.0

package port

import (
	"context"
	"net/netip"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newList(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use: "ls [flags] [CONTAINER]", Aliases: []string{"list"},
		Short: "List published ports",
		Long:  "List published ports, of one container or of all.\n\n" + output.Help,
		Example: `  vethway port ls
  vethway port ls c1 -o json`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteContainers()),
	}, "PortList", table, func(ctx context.Context, c api.Backend, args []string) ([]api.Port, error) {
		var filter api.PortFilter
		if len(args) == 1 {
			filter.Container = args[0]
		}
		return c.Ports(ctx, filter)
	})
}

func table(list []api.Port) *output.Table {
	t := output.NewTable("HOST", "PROTO", "CONTAINER", "PORT", "NETWORK", "TARGET")
	for _, p := range list {
		target := ""
		if p.Target.IsValid() {
			target = p.Target.String() + upTo(p.ContainerPortEnd)
		}
		host := netip.AddrPortFrom(p.HostIP, p.HostPort).String() + upTo(p.HostPortEnd)
		port := strconv.Itoa(int(p.ContainerPort)) + upTo(p.ContainerPortEnd)
		t.Row(host, p.Protocol, p.Container, port, p.Network, target)
	}
	return t
}

// upTo is the end of a range, where there is one.
func upTo(last uint16) string {
	if last == 0 {
		return ""
	}
	return "-" + strconv.Itoa(int(last))
}
