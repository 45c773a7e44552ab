// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

// Asks completes a command whose one job is to ask the daemon something and to print what it answers; kind is what JSON and YAML call that.
func Asks[T any](a *App, cmd *cobra.Command, kind string, table func([]T) *output.Table,
	ask func(ctx context.Context, c api.Backend, args []string) ([]T, error),
) *cobra.Command {
	var o output.Options
	cmd.RunE = a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
		list, err := ask(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		return output.Print(a.Streams, o, kind, list, nil, table)
	})
	o.AddFlags(cmd, false)
	return cmd
}
