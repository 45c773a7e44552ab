// SPDX-License-Identifier: Apache-2.0

package network

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/control/api"
)

func newConnect(a *app.App) *cobra.Command {
	var o app.EndpointFlags
	cmd := &cobra.Command{
		Use:   "connect [flags] NETWORK CONTAINER",
		Short: "Connect a running container to one more network",
		Example: `  vethway network connect web c1
  vethway network connect --ip 172.30.2.9 --alias db --gw-priority 1 two c1`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteNetworks(), a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			ep, err := o.Config()
			if err != nil {
				return err
			}
			return c.ConnectNetwork(cmd.Context(), args[0], api.NetworkConnect{Container: args[1], EndpointConfig: ep})
		}),
	}
	o.AddFlags(cmd)
	return cmd
}

func newDisconnect(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:     "disconnect NETWORK CONTAINER",
		Short:   "Take a running container off a network",
		Example: "  vethway network disconnect web c1",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteNetworks(), a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			return c.DisconnectNetwork(cmd.Context(), args[0], api.NetworkDisconnect{Container: args[1]})
		}),
	}
}
