// SPDX-License-Identifier: Apache-2.0

package deny

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/control/api"
)

func newRemove(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use: "rm [flags] PREFIX...", Aliases: []string{"remove"},
		Short:   "Take prefixes off the deny list: all of them, or none and an error",
		Long:    "Take prefixes off the deny list, as they were put on it, and print them: all of them, or none and an error.",
		Example: "  vethway deny rm 192.0.2.0/24",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(true, a.CompleteDenied()),
	}, "DenialList", table, func(ctx context.Context, c api.Backend, args []string) ([]api.Denial, error) {
		req, err := parse(args)
		if err != nil {
			return nil, err
		}
		return c.AllowSources(ctx, req)
	})
}
