// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/test/rivals"
)

// newProxyCommand is what targets start when there is no docker-proxy.
func newProxyCommand() *cobra.Command {
	return &cobra.Command{
		Use:                rivals.ProxyCommand,
		Short:              "Forward one published port, in the manner and with the flags of docker-proxy",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return rivals.ServeProxy(cmd.Context(), args)
		},
	}
}

// chooseProxy finds the userland proxy that the targets chosen need. An equivalent takes the place of one that cannot
// be had; reports name what it was.
func chooseProxy(ctx context.Context, want string, targets []target.Maker, log *slog.Logger) rivals.ProxyProgram {
	switch {
	case want == "own", !slices.ContainsFunc(targets, func(m target.Maker) bool { return m.Proxied }):
		return rivals.OwnProxy()
	case want != "auto":
		return rivals.ProxyProgram{Command: []string{want}, About: want}
	}
	cache, err := os.UserCacheDir()
	if err == nil {
		log.Debug("find docker-proxy, or build it")
		var found rivals.ProxyProgram
		if found, err = rivals.FindProxy(ctx, filepath.Join(cache, "vethway-bench"), true); err == nil {
			return found
		}
	}
	log.Warn("an equivalent takes the place of docker-proxy", "error", err)
	return rivals.OwnProxy()
}
