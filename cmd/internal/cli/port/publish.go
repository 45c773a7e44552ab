// SPDX-License-Identifier: Apache-2.0

package port

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

func newPublish(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use:   "publish [flags] CONTAINER PORT...",
		Short: "Publish ports of a running container: all of them, or none and an error",
		Long:  "Publish ports of a running container and print them: all of them, or none and an error.\n\n" + Syntax,
		Example: `  vethway port publish c1 8081:80
  vethway port publish c1 127.0.0.1:5353:53/udp 9000-9002:9000-9002`,
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteContainers()),
	}, "PortList", table, func(ctx context.Context, c api.Backend, args []string) ([]api.Port, error) {
		specs, err := Parse(args[1:])
		if err != nil {
			return nil, err
		}
		made, err := c.PublishPorts(ctx, args[0], api.PortPublish{Publish: specs})
		return made, exit.Hint(err, "vethway port ls")
	})
}

func newUnpublish(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use:   "unpublish [flags] CONTAINER PORT...",
		Short: "Withdraw published ports; their connections end",
		Long: `Withdraw published ports, print them, and end their connections. A PORT withdraws everything that agrees with what it says:
8081:80 one host port, 80/udp every host port of that container port.

` + Syntax,
		Example: `  vethway port unpublish c1 8081:80
  vethway port unpublish c1 127.0.0.1:5353:53/udp`,
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteContainers()),
	}, "PortList", table, func(ctx context.Context, c api.Backend, args []string) ([]api.Port, error) {
		specs, err := Parse(args[1:])
		if err != nil {
			return nil, err
		}
		gone, err := c.UnpublishPorts(ctx, args[0], api.PortUnpublish{Publish: specs})
		return gone, exit.Hint(err, "vethway port ls %s", args[0])
	})
}
