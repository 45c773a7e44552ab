// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

func newReadmeCommand(*streams.Streams) *cobra.Command {
	var in, readme, baseline string
	cmd := &cobra.Command{
		Use:     "readme",
		Short:   "Write the table of a saved run into a README",
		Long:    "Write the table of a saved run between the lines " + report.Begin + " and " + report.End + " of a README.",
		Example: "  vethway-bench readme --in result.json --readme README.md",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			rep, err := report.Load(in)
			if err != nil {
				return err
			}
			return rep.UpdateFile(readme, baseline)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in, "in", "", "the JSON `file` of a run")
	flags.StringVar(&readme, "readme", "README.md", "the `file` to write into")
	flags.StringVar(&baseline, "baseline", "iptables", "target that the table divides by")
	cobra.CheckErr(cmd.MarkFlagRequired("in"))
	return cmd
}
