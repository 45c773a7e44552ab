// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/size"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

type readmeOptions struct {
	in, size, readme, baseline string
}

func newReadmeCommand(*streams.Streams) *cobra.Command {
	var o readmeOptions
	cmd := &cobra.Command{
		Use:   "readme",
		Short: "Write the tables of saved runs into a README",
		Long: "Write the table of a saved run between the lines " + report.Begin + " and " + report.End + " of a README,\n" +
			"and that of `vethway-bench size` between " + size.Begin + " and " + size.End + " if it has these.",
		Example: `  vethway-bench readme --in result.json --readme README.md
  vethway-bench readme --in result.json --size size.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return report.Rewrite(o.readme, o.update) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.in, "in", "", "the JSON `file` of a run")
	flags.StringVar(&o.size, "size", "", "the JSON `file` of `vethway-bench size`")
	flags.StringVar(&o.readme, "readme", "README.md", "the `file` to write into")
	flags.StringVar(&o.baseline, "baseline", "iptables", "target that the table divides by")
	cmd.MarkFlagsOneRequired("in", "size")
	return cmd
}

func (o *readmeOptions) update(text string) (string, error) {
	if o.in != "" {
		rep, err := report.Load(o.in)
		if err != nil {
			return "", err
		}
		if text, err = rep.Update(text, o.baseline); err != nil {
			return "", err
		}
	}
	if o.size == "" {
		return text, nil
	}
	rep, err := size.Load(o.size)
	if err != nil {
		return "", err
	}
	return rep.Update(text)
}
