// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/daemon"
	"github.com/vethway/vethway/control/api"
)

func newUninstall(a *app.App) *cobra.Command {
	cfg := daemon.Config{}
	cmd := &cobra.Command{
		Use:   "uninstall [flags]",
		Short: "Remove everything of an instance from this host; its daemon must not run",
		Long: `End the commands that "vethway run" started, detach all programs, and remove all pins, maps, bridges, veths, sockets
and the state of an instance. Nothing of it is left; nothing else is touched. The daemon must have been stopped before.`,
		Example: "  vethway uninstall --force",
		Args:    cobra.NoArgs,
	}
	force := cmd.Flags().BoolP("force", "f", false, "do not ask")
	cmd.Flags().StringVar(&cfg.StateDir, "state-dir", "", "directory of the database (default "+daemon.DefaultStateRoot+"/INSTANCE)")
	cmd.RunE = a.Run(func(cmd *cobra.Command, _ api.Backend, _ []string) error {
		if !*force {
			ok, err := a.Confirm("This removes all networks of the instance " + a.Instance + " and cuts its containers off.")
			if err != nil || !ok {
				return err
			}
		}
		cfg.Instance, cfg.BPFFS, cfg.Socket = a.Instance, a.BPFFS, a.Socket
		if a.Socket != "" {
			cfg.RunDir = filepath.Dir(a.Socket)
		}
		return daemon.Uninstall(cmd.Context(), cfg)
	})
	return cmd
}
