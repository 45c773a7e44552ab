// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/control/api"
)

func newFlush(a *app.App) *cobra.Command {
	var f filterFlags
	var force bool
	cmd := &cobra.Command{
		Use:   "flush [flags]",
		Short: "End NAT sessions that match, and print how many went",
		Example: `  vethway flow flush --container c1
  vethway flow flush --force`,
		Args: cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			filter, err := f.parse()
			if err != nil {
				return err
			}
			if filter == (api.FlowFilter{}) && !force {
				ok, err := a.Confirm("This ends every connection through NAT.")
				if err != nil || !ok {
					return err
				}
			}
			done, err := c.FlushFlows(cmd.Context(), filter)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.Streams.Out, done.Flushed)
			return nil
		}),
	}
	f.addFlags(a, cmd)
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}
