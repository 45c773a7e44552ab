// SPDX-License-Identifier: Apache-2.0

// Package event holds `vethway event` and its verb.
package event

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Group("event", "Show what was refused to containers", newList(a))
}

func newList(a *app.App) *cobra.Command {
	var o output.Options
	var container, since string
	cmd := &cobra.Command{
		Use: "ls [flags]", Aliases: []string{"list"},
		Short: "List the last flows that were refused to containers",
		Long: `List the last flows that were refused to containers, and why: quota (the container has, or begins, more than it may),
no-port (no source port is free) or table-full. There is one line a second for each container at most; REFUSED counts all of
them. The daemon remembers the last 1000 lines of its own time, and says them in its log.

` + output.Help,
		Example: `  vethway event ls
  vethway event ls --container c1 --since 10m`,
		Args: cobra.NoArgs,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, _ []string) error {
			f := api.EventFilter{Container: container}
			var err error
			if f.Since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			list, err := c.Events(cmd.Context(), f)
			if err != nil {
				return err
			}
			return output.Print(a.Streams, o, "EventList", list, nil, table)
		}),
	}
	o.AddFlags(cmd, false)
	cmd.Flags().StringVar(&container, "container", "", "of this container")
	cmd.Flags().StringVar(&since, "since", "", "not before this time, such as 2026-01-02T15:04:05Z, or 10m for ten minutes ago")
	// The flag was added above: registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("container", a.CompleteContainers())
	return cmd
}

// parseSince reads a time or, as Docker does, how long ago it was.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(s); err == nil {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, exit.Errorf(exit.Usage, "--since %q: want a time such as 2026-01-02T15:04:05Z, or how long ago, such as 10m", s)
	}
	return t, nil
}

func table(list []api.Event) *output.Table {
	t := output.NewTable("TIME", "CONTAINER", "NETWORK", "REASON", "PROTO", "SOURCE", "DESTINATION", "REFUSED")
	for _, e := range list {
		t.Row(e.Time.Local().Format(time.RFC3339), e.Container, e.Network, e.Reason, e.Protocol, e.Source.String(),
			e.Destination.String(), fmt.Sprint(e.Refused))
	}
	return t
}
