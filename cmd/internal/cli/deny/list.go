// SPDX-License-Identifier: Apache-2.0

package deny

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newList(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short:   "List the deny list",
		Long:    "List the deny list, by prefix.\n\n" + output.Help,
		Example: "  vethway deny ls\n  vethway deny ls -o json",
		Args:    cobra.NoArgs,
	}, "DenialList", table, func(ctx context.Context, c api.Backend, _ []string) ([]api.Denial, error) {
		return c.DeniedSources(ctx)
	})
}
