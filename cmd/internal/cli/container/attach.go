// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

// NewAttach returns `vethway attach`.
func NewAttach(a *app.App) *cobra.Command {
	var o connectFlags
	cmd := &cobra.Command{
		Use:   "attach [flags] NAMESPACE",
		Short: "Make a container of a network namespace that somebody else made",
		Long: `Connect an existing network namespace to a network, publish ports of it, and print the container's name. The
namespace is a path, a name as in "ip netns", or the ID of a process in it. It stays its maker's: detach takes the
network away and leaves the namespace.`,
		Example: `  ip netns add web-2; vethway attach --network web --name c2 -p 8080:80 web-2; vethway detach c2; ip netns del web-2
  unshare -n sleep 60 & sleep 0.2; vethway attach --network web --name c3 $!; vethway detach c3; kill $!`,
		Args: cobra.ExactArgs(1),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			ref := args[0]
			if strings.Contains(ref, "/") {
				path, err := filepath.Abs(ref)
				if err != nil {
					return fmt.Errorf("find %s: %w", ref, err)
				}
				ref = path
			}
			if err := checkNamespace(ref); err != nil {
				return err
			}
			req, err := o.request(ref)
			if err != nil {
				return err
			}
			made, err := c.AttachContainer(cmd.Context(), req)
			if err != nil {
				return explain(err, ref)
			}
			warn(a, made)
			fmt.Fprintln(a.Streams.Out, made.Name)
			return nil
		}),
	}
	o.addFlags(a, cmd)
	return cmd
}

// NewDetach returns `vethway detach`.
func NewDetach(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:     "detach CONTAINER...",
		Short:   "Take containers off all their networks and forget them",
		Example: "  vethway detach c2",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: app.CompleteInTurn(true, a.CompleteContainers()),
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			var errs []error
			for _, ref := range args {
				if err := c.DetachContainer(cmd.Context(), ref); err != nil {
					errs = append(errs, exit.WithHint(err, "vethway ps"))
					continue
				}
				fmt.Fprintln(a.Streams.Out, ref)
			}
			return errors.Join(errs...)
		}),
	}
}

func warn(a *app.App, made api.ContainerAttached) {
	for _, w := range made.Warnings {
		fmt.Fprintf(a.Streams.Err, "warning: %s\n", w)
	}
}
