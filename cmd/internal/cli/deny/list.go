// SPDX-License-Identifier: Apache-2.0

package deny

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newList(a *app.App) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short:   "List the deny list",
		Long:    "List the deny list, by prefix.\n\n" + output.Help,
		Example: "  vethway deny ls\n  vethway deny ls -o json",
		Args:    cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			list, err := c.DeniedSources(cmd.Context())
			if err != nil {
				return err
			}
			return show(a, o, list)
		}),
	}
	o.AddFlags(cmd, false)
	return cmd
}
