// SPDX-License-Identifier: Apache-2.0

package deny

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/control/api"
)

func newAdd(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use:   "add [flags] PREFIX...",
		Short: "Deny sources: all of them, or none and an error",
		Long: `Deny sources and print those that were not denied before: all of them, or none and an error. Whatever comes from there is
dropped on every uplink, for containers and host alike, answers to what they ask included, but not ARP and IPv6's neighbour and
router discovery; "vethway drop ls" counts it. The list outlives the daemon.`,
		Example: `  vethway deny add 192.0.2.0/24 2001:db8:bad::/48
  vethway deny add 198.51.100.7`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
	}, "DenialList", table, func(ctx context.Context, c api.Backend, args []string) ([]api.Denial, error) {
		req, err := parse(args)
		if err != nil {
			return nil, err
		}
		return c.DenySources(ctx, req)
	})
}
