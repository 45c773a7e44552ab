// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

func newListCommand(io *streams.Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List scenarios, workloads, series and targets",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			table := output.NewTable("KIND", "NAME", "DEFAULT", "WHAT")
			for _, s := range target.Scenarios() {
				table.Row("scenario", string(s), yes(!s.Extra()), s.About())
			}
			for _, w := range workload.All() {
				table.Row("workload", w.Name, yes(!w.Extra), w.About)
			}
			for _, a := range run.Axes() {
				table.Row("series", string(a), "yes", a.About())
			}
			for _, m := range target.All() {
				table.Row("target", m.Name, yes(!m.Extra), m.About)
			}
			return writeTable(io, table)
		},
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func writeTable(io *streams.Streams, table *output.Table) error {
	if io.Terminal {
		return table.WriteAligned(io.Out)
	}
	return table.WriteTSV(io.Out)
}
