// SPDX-License-Identifier: Apache-2.0

package port

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newPublish(a *app.App) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use:   "publish [flags] CONTAINER PORT...",
		Short: "Publish ports of a running container: all of them, or none and an error",
		Long:  "Publish ports of a running container and print them: all of them, or none and an error.\n\n" + Syntax,
		Example: `  vethway port publish c1 8081:80
  vethway port publish c1 127.0.0.1:5353:53/udp 9000-9002:9000-9002`,
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			specs, err := Parse(args[1:])
			if err != nil {
				return err
			}
			made, err := c.PublishPorts(cmd.Context(), args[0], api.PortPublish{Publish: specs})
			if err != nil {
				return exit.Hint(err, "vethway port ls")
			}
			return show(a, o, made)
		}),
	}
	o.AddFlags(cmd, false)
	return cmd
}

func newUnpublish(a *app.App) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use:   "unpublish [flags] CONTAINER PORT...",
		Short: "Withdraw published ports; their connections end",
		Long: `Withdraw published ports, print them, and end their connections. A PORT withdraws everything that agrees with what it says:
8081:80 one host port, 80/udp every host port of that container port.

` + Syntax,
		Example: `  vethway port unpublish c1 8081:80
  vethway port unpublish c1 127.0.0.1:5353:53/udp`,
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			specs, err := Parse(args[1:])
			if err != nil {
				return err
			}
			gone, err := c.UnpublishPorts(cmd.Context(), args[0], api.PortUnpublish{Publish: specs})
			if err != nil {
				return exit.Hint(err, "vethway port ls %s", args[0])
			}
			return show(a, o, gone)
		}),
	}
	o.AddFlags(cmd, false)
	return cmd
}
