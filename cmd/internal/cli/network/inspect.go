// SPDX-License-Identifier: Apache-2.0

package network

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newInspect(a *app.App) *cobra.Command {
	var o output.Inspection
	cmd := &cobra.Command{
		Use:   "inspect [flags] NETWORK...",
		Short: "Show all there is to know about networks",
		Long:  "Show networks as a JSON array in the shape of `docker network inspect`.",
		Example: `  vethway network inspect web
  vethway network inspect web --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}'`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(true, a.CompleteNetworks()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			return output.Inspect(a.Streams, o, args, func(ref string) (api.Network, error) { return c.Network(cmd.Context(), ref) })
		}),
	}
	o.AddFlags(cmd)
	return cmd
}
