// SPDX-License-Identifier: Apache-2.0

// Package network holds `vethway network` and its verbs, one a file.
package network

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Group("network", "Make, list, change and remove networks",
		newCreate(a), newList(a), newInspect(a), newRemove(a), newPrune(a), newConnect(a), newDisconnect(a))
}
