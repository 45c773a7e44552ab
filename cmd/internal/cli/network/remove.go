// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

func newRemove(a *app.App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm [flags] NETWORK...", Aliases: []string{"remove"},
		Short:   "Remove networks that no container is connected to",
		Example: "  vethway network rm web",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(true, a.CompleteNetworks()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			var errs []error
			for _, ref := range args {
				err := c.RemoveNetwork(cmd.Context(), ref)
				switch {
				case err == nil:
					fmt.Fprintln(a.Streams.Out, ref)
				case force && errors.Is(err, api.NotFound):
				case errors.Is(err, api.InUse):
					errs = append(errs, exit.Hint(err, "vethway network inspect %s; vethway network disconnect %s CONTAINER", ref, ref))
				default:
					errs = append(errs, exit.Hint(err, "vethway network ls"))
				}
			}
			return errors.Join(errs...)
		}),
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not complain about networks that do not exist")
	return cmd
}

func newPrune(a *app.App) *cobra.Command {
	var force bool
	var filters []string
	cmd := &cobra.Command{
		Use:     "prune [flags]",
		Short:   "Remove all networks that no container is connected to",
		Example: "  vethway network prune --force\n  vethway network prune --force --filter label=tier=db",
		Args:    cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			if !force {
				ok, err := a.Confirm("This removes all networks that no container is connected to.")
				if err != nil || !ok {
					return err
				}
			}
			gone, err := c.PruneNetworks(cmd.Context(), filters)
			if err != nil {
				return err
			}
			for _, name := range gone.NetworksDeleted {
				fmt.Fprintln(a.Streams.Out, name)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	cmd.Flags().StringArrayVar(&filters, "filter", nil, "name=, id= or label=KEY[=VALUE]")
	return cmd
}
