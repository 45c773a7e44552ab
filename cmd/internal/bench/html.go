// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/page"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

type htmlOptions struct {
	in, size, out, baseline string
}

func newHTMLCommand(s *streams.Streams) *cobra.Command {
	var o htmlOptions
	cmd := &cobra.Command{
		Use:   "html",
		Short: "Make a page of a saved run: charts, goals, every sample",
		Long: `Make a page of a saved run: ratios with their spread, latency curves, growth, goals, every sample.
The page is one file, needs neither a network nor scripts, and follows the reader's light or dark scheme.`,
		Example: `  vethway-bench html --in result.json --out report.html
  vethway-bench html --in result.json --size size.json --out report.html`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			rep, err := report.Load(o.in)
			if err != nil {
				return err
			}
			if err := judge(rep, o.size); err != nil {
				return err
			}
			return deliver(s, o.out, func(w io.Writer) error { return page.Write(w, rep, o.baseline, glossary()...) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.in, "in", "", "the JSON `file` of a run")
	flags.StringVar(&o.size, "size", "", "the JSON `file` of `vethway-bench size`, for what publishing takes")
	flags.StringVar(&o.out, "out", "", "the `file` to write, instead of the standard output")
	flags.StringVar(&o.baseline, "baseline", "iptables", "target that ratios are to")
	if err := cmd.MarkFlagRequired("in"); err != nil {
		panic(err) // the flag is five lines up
	}
	return cmd
}

// glossary is what `vethway-bench list` says.
func glossary() []page.Term {
	var terms []page.Term
	for _, s := range target.Scenarios() {
		terms = append(terms, page.Term{Kind: "scenario", Name: string(s), Meaning: s.About()})
	}
	for _, w := range workload.All() {
		terms = append(terms, page.Term{Kind: "workload", Name: w.Name, Meaning: w.About})
	}
	for _, m := range target.All() {
		terms = append(terms, page.Term{Kind: "target", Name: m.Name, Meaning: m.About})
	}
	return terms
}

func newSVGCommand(s *streams.Streams) *cobra.Command {
	var o htmlOptions
	cmd := &cobra.Command{
		Use:   "svg",
		Short: "Draw the ratios of a saved run as one chart for a README",
		Long: `Draw the ratios of a saved run as one chart for a README: published ports, masquerade, and container to container,
IPv4 on one CPU.`,
		Example: `  vethway-bench svg --in result.json --out bench.svg`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			rep, err := report.Load(o.in)
			if err != nil {
				return err
			}
			overview := page.Overview(rep, o.baseline)
			if len(overview.Panels) == 0 {
				return fmt.Errorf("%s has no ratios to %s of a scenario that the chart shows", o.in, o.baseline)
			}
			return deliver(s, o.out, func(w io.Writer) error {
				if _, err := io.WriteString(w, overview.SVG()); err != nil {
					return fmt.Errorf("write chart: %w", err)
				}
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.in, "in", "", "the JSON `file` of a run")
	flags.StringVar(&o.out, "out", "", "the `file` to write, instead of the standard output")
	flags.StringVar(&o.baseline, "baseline", "iptables", "target that ratios are to")
	if err := cmd.MarkFlagRequired("in"); err != nil {
		panic(err) // the flag is four lines up
	}
	return cmd
}

// deliver writes to a file, or to the standard output where none is named.
func deliver(s *streams.Streams, file string, write func(io.Writer) error) error {
	if file == "" {
		return write(s.Out)
	}
	return report.SaveTo(file, write)
}
