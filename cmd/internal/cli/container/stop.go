// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/sandbox"
	"github.com/vethway/vethway/control/api"
)

// NewStop returns `vethway stop`.
func NewStop(a *app.App) *cobra.Command {
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "stop [flags] CONTAINER...",
		Short: "End the command of a container that `vethway run` made",
		Long: `Send SIGTERM to the command of a container that "vethway run" made, SIGKILL when it has not ended in time, and wait until
the container is gone. What a killed vethway left behind is cleaned up as well.`,
		Example: "  vethway stop c1",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(true, a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			var errs []error
			for _, name := range args {
				if err := stop(cmd.Context(), a.Sandboxes(), c, name, grace); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(a.Streams.Out, name)
			}
			return errors.Join(errs...)
		}),
	}
	cmd.Flags().DurationVarP(&grace, "time", "t", 10*time.Second, "how long to wait before SIGKILL")
	return cmd
}

func stop(ctx context.Context, dir sandbox.Dir, c api.Backend, name string, grace time.Duration) error {
	if !containerName.MatchString(name) || !exists(dir.Namespace(name)) {
		if _, err := c.Container(ctx, name); err != nil {
			return exit.WithHint(err, "vethway ps")
		}
		return exit.Errorf(exit.Of(api.NotFound), "container %s was not made by `vethway run`", name).WithHint("vethway detach %s", name)
	}
	r, err := dir.Read(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && r.Running() {
		if err := dir.End(ctx, r, grace); err != nil {
			return err
		}
	}
	if !exists(dir.Namespace(name)) {
		return nil // the runner has cleaned up
	}
	err = c.DetachContainer(ctx, name)
	if errors.Is(err, api.NotFound) {
		err = nil
	}
	return errors.Join(err, dir.Remove(name))
}
