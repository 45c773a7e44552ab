// SPDX-License-Identifier: Apache-2.0

// Package drop holds `vethway drop` and its verb.
package drop

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Group("drop", "Show what was dropped, and why", newList(a))
}

func newList(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short:   "List the drop counters that are not zero",
		Long:    "List the drop counters that are not zero, by hook and reason.\n\n" + output.Help,
		Example: "  vethway drop ls\n  vethway drop ls -o json",
		Args:    cobra.NoArgs,
	}, "DropList", table, func(ctx context.Context, c api.Backend, _ []string) ([]api.Drop, error) { return c.Drops(ctx) })
}

func table(list []api.Drop) *output.Table {
	t := output.NewTable("HOOK", "REASON", "PACKETS", "BYTES")
	for _, d := range list {
		t.Row(d.Hook, d.Reason, fmt.Sprint(d.Packets), fmt.Sprint(d.Bytes))
	}
	return t
}
