// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/control/api"
)

func newStats(a *app.App) *cobra.Command {
	return app.Asks(a, &cobra.Command{
		Use:   "stats [flags]",
		Short: "Show how much of limits, source ports and tables is used up",
		Long: `Show how much is used up, and of how much: flows that each container has begun on each network, of its limit; source
ports of each address that containers leave with; entries of the tables. Refused are the flows that a container did not
get, since it was attached.

The last lines say how many sessions found a free source port with so many tries, since the host started: as a pool fills
up, it takes more of them.

TCP may use one port for several destinations at a time. Ports of UDP and ping are counted until they have rested.

` + output.Help,
		Example: `  vethway flow stats
  vethway flow stats -o json`,
		Args: cobra.NoArgs,
	}, "FlowStats", statsTable, func(ctx context.Context, c api.Backend, _ []string) ([]api.FlowStats, error) {
		s, err := c.FlowStats(ctx)
		return []api.FlowStats{s}, err
	})
}

func statsTable(list []api.FlowStats) *output.Table {
	t := output.NewTable("WHAT", "NAME", "OF", "USED", "LIMIT", "PERCENT", "REFUSED")
	for _, s := range list {
		for _, c := range s.Containers {
			limit, percent := "", ""
			if c.Limit != 0 {
				limit, percent = fmt.Sprint(c.Limit), percentage(100*float64(c.Flows)/float64(c.Limit))
			}
			t.Row("container", c.Container, c.Network, fmt.Sprint(c.Flows), limit, percent, fmt.Sprint(c.Refused))
		}
		for _, p := range s.Addresses {
			t.Row("ports", p.Address.String(), p.Protocol, fmt.Sprint(p.Ports), fmt.Sprint(p.Size), percentage(p.Percent), "")
		}
		for _, table := range []struct {
			name string
			use  api.TableUse
		}{{"flows4", s.Flows4}, {"flows6", s.Flows6}, {"mappings", s.Mappings}} {
			u := table.use
			t.Row("table", table.name, "", fmt.Sprint(u.Entries), fmt.Sprint(u.Capacity), percentage(u.Percent), "")
		}
		var sessions uint64
		for _, p := range s.Tries {
			sessions += p.Sessions
		}
		for _, p := range s.Tries {
			t.Row("tries", p.Tries, "", fmt.Sprint(p.Sessions), fmt.Sprint(sessions), percentage(100*float64(p.Sessions)/float64(sessions)), "")
		}
	}
	return t
}

func percentage(p float64) string { return fmt.Sprintf("%.1f%%", p) }
