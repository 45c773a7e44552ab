// SPDX-License-Identifier: Apache-2.0

// Package status holds `vethway status`.
package status

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use:     "status [flags]",
		Short:   "Say how the daemon is",
		Long:    "Say how the daemon is: what it runs on, what it carries, and what it could not put right.\n\n" + output.Help,
		Example: "  vethway status\n  vethway status -o json",
		Args:    cobra.NoArgs,
	}, "Status", table, func(ctx context.Context, c api.Backend, _ []string) ([]api.Status, error) {
		s, err := c.Status(ctx)
		return []api.Status{s}, err
	})
}

func table(list []api.Status) *output.Table {
	t := output.NewTable("WHAT", "VALUE")
	for _, s := range list {
		t.Row("version", s.Version)
		t.Row("pid", fmt.Sprint(s.PID))
		t.Row("up", app.Duration(time.Duration(s.UptimeSeconds*float64(time.Second))))
		t.Row("state", s.StateFile)
		t.Row("attach", s.AttachMode)
		t.Row("flow table", fmt.Sprintf("%d flows of each family", s.FlowTable))
		t.Row("networks", fmt.Sprint(s.Networks))
		t.Row("containers", fmt.Sprint(s.Containers))
		t.Row("endpoints", fmt.Sprint(s.Endpoints))
		t.Row("published ports", fmt.Sprint(s.Ports))
		for _, u := range s.Uplinks {
			t.Row("uplink", fmt.Sprintf("%s mtu %d %s", u.Name, u.MTU, addresses(u.Addresses)))
		}
		for _, d := range s.Degraded {
			t.Row("degraded", fmt.Sprintf("%s: %s (for %s)", d.Subject, d.Message, app.Duration(time.Since(d.Since))))
		}
		if len(s.Degraded) == 0 {
			t.Row("health", "all is as it should be")
		}
	}
	return t
}

func addresses(list []netip.Addr) string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return strings.Join(out, ",")
}
