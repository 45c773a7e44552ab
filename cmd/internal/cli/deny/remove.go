// SPDX-License-Identifier: Apache-2.0

package deny

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newRemove(a *app.App) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use: "rm [flags] PREFIX...", Aliases: []string{"remove"},
		Short:   "Take prefixes off the deny list: all of them, or none and an error",
		Long:    "Take prefixes off the deny list, as they were put on it, and print them: all of them, or none and an error.",
		Example: "  vethway deny rm 192.0.2.0/24",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(true, a.CompleteDenied()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			req, err := parse(args)
			if err != nil {
				return err
			}
			gone, err := c.AllowSources(cmd.Context(), req)
			if err != nil {
				return err
			}
			return show(a, o, gone)
		}),
	}
	o.AddFlags(cmd, false)
	return cmd
}
