// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/sandbox"
	"github.com/vethway/vethway/control/api"
)

// NewExec returns `vethway exec`.
func NewExec(a *app.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec CONTAINER [--] COMMAND [ARG...]",
		Short: "Run a command in the network namespace of a container",
		Long: `Run a command in the network namespace of a container, be it one that "vethway run" made or one that was attached.
For the former the daemon need not be there. The standard streams, signals and the exit status are the command's.`,
		Example: "  vethway exec c1 -- ip route",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(false, a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			name, argv := args[0], args[1:]
			if len(argv) > 0 && argv[0] == "--" {
				argv = argv[1:]
			}
			if len(argv) == 0 {
				return exit.Errorf(exit.Usage, "exec: a command is missing").WithHint("vethway exec %s -- ip addr", name)
			}
			path, err := namespaceOf(cmd.Context(), a, c, name)
			if err != nil {
				return err
			}
			p, err := sandbox.Start(path, argv)
			if err != nil {
				return err
			}
			return p.Wait()
		}),
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// namespaceOf finds a container's namespace, by what `vethway run` left or else by asking the daemon.
func namespaceOf(ctx context.Context, a *app.App, c api.Backend, ref string) (string, error) {
	if containerName.MatchString(ref) {
		if path := a.Sandboxes().Namespace(ref); exists(path) {
			return path, nil
		}
	}
	got, err := c.Container(ctx, ref)
	if err != nil {
		return "", exit.WithHint(err, "vethway ps")
	}
	if err := checkNamespace(got.Namespace.Path); err != nil {
		return "", err
	}
	return got.Namespace.Path, nil
}
