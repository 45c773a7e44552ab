// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/compare"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/cli/output"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// errSlower is the exit of `compare --fail-on-slower`.
var errSlower = errors.New("slower than before")

type compareOptions struct {
	baseline, format      string
	targets               []string
	changed, failOnSlower bool
}

func newCompareCommand(s *streams.Streams) *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare A.json B.json",
		Short: "Tell what changed from one saved run to another",
		Long: `Tell what changed from run A to run B, cell by cell, by the ratios to a baseline within the rounds: what a machine does
at another hour changes both halves of a ratio.

A cell is called faster or slower only where the rank-sum test (exact, two-sided) on the ratios of the rounds allows it;
all cells are looked at together, so that no more than one verdict in twenty is chance, on average. Otherwise no difference
is shown, which is not the same as none: more rounds show smaller ones. The test cannot tell why the runs differ, so make
both on the same machine, with nothing else to do. Figures without a baseline are listed and not judged.`,
		Example: `  vethway-bench compare before.json after.json
  vethway-bench compare before.json after.json --target vethway --fail-on-slower`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, files []string) error { return o.run(s, files[0], files[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.baseline, "baseline", "iptables", "target that ratios are to")
	flags.StringSliceVar(&o.targets, "target", nil, "targets to compare; all of them unless named")
	flags.BoolVar(&o.changed, "changed", false, "list only what is faster or slower")
	flags.BoolVar(&o.failOnSlower, "fail-on-slower", false, "fail when a cell is slower")
	flags.StringVarP(&o.format, "output", "o", "table", "table or json")
	return cmd
}

func (o *compareOptions) run(s *streams.Streams, fileA, fileB string) error {
	if !slices.Contains([]string{"table", "json"}, o.format) {
		return fmt.Errorf("no output format %q: use table or json", o.format)
	}
	a, err := report.Load(fileA)
	if err != nil {
		return err
	}
	b, err := report.Load(fileB)
	if err != nil {
		return err
	}
	c := compare.Runs(a, b, o.baseline, o.targets...)
	switch {
	case o.format == "json":
		err = output.Encode(s.Out, "json", c)
	case s.Terminal:
		err = c.WriteText(s.Out, o.changed)
	default:
		err = c.Table(o.changed).WriteTSV(s.Out)
	}
	if err != nil {
		return err
	}
	if n := c.Count(compare.Slower); o.failOnSlower && n > 0 {
		return fmt.Errorf("%w: %d of %d cells", errSlower, n, len(c.Cells))
	}
	return nil
}
