// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/control/api"
)

// Completer completes one word from what is alive now.
type Completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeTimeout keeps a dead daemon from freezing somebody's shell.
const completeTimeout = 2 * time.Second

func (a *App) complete(list func(ctx context.Context, c api.Backend) ([]string, error)) Completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		c, err := a.Client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		names, err := list(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteNetworks completes names of networks.
func (a *App) CompleteNetworks() Completer {
	return a.complete(func(ctx context.Context, c api.Backend) ([]string, error) {
		list, err := c.Networks(ctx, nil)
		names := make([]string, 0, len(list))
		for _, n := range list {
			names = append(names, n.Name+"\t"+n.ID[:min(12, len(n.ID))])
		}
		return names, err
	})
}

// CompleteContainers completes names of containers.
func (a *App) CompleteContainers() Completer {
	return a.complete(func(ctx context.Context, c api.Backend) ([]string, error) {
		list, err := c.Containers(ctx)
		names := make([]string, 0, len(list))
		for _, n := range list {
			names = append(names, n.Name+"\t"+n.ID[:min(12, len(n.ID))])
		}
		return names, err
	})
}

// CompleteDenied completes prefixes of the deny list.
func (a *App) CompleteDenied() Completer {
	return a.complete(func(ctx context.Context, c api.Backend) ([]string, error) {
		list, err := c.DeniedSources(ctx)
		prefixes := make([]string, 0, len(list))
		for _, d := range list {
			prefixes = append(prefixes, d.Prefix.String())
		}
		return prefixes, err
	})
}

// CompleteInTurn completes the first argument by the first completer, and so on; the last serves all that follow if
// repeat is set.
func CompleteInTurn(repeat bool, turns ...Completer) Completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		i := len(args)
		if i >= len(turns) {
			if !repeat {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			i = len(turns) - 1
		}
		return turns[i](cmd, args, word)
	}
}
