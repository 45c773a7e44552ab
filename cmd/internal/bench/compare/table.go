// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/cli/output"
)

// Difference is one thing that is not the same in both runs.
type Difference struct {
	What string `json:"what"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// machines lists what is not the same of two machines and of how they were used.
func machines(a, b report.Machine) []Difference {
	var list []Difference
	add := func(what, a, b string) {
		if a != b {
			list = append(list, Difference{what, a, b})
		}
	}
	add("kernel", a.Kernel, b.Kernel)
	add("CPU", a.CPU, b.CPU)
	add("cores", strconv.Itoa(a.Cores), strconv.Itoa(b.Cores))
	add("governor", a.Governor, b.Governor)
	add("rounds", strconv.Itoa(a.Settings.Rounds), strconv.Itoa(b.Settings.Rounds))
	add("seconds of a sample", report.Figure(a.Settings.SampleSeconds), report.Figure(b.Settings.SampleSeconds))
	add("congestion control", a.Settings.CongestionControl, b.Settings.CongestionControl)
	for _, both := range [][2]map[string]string{{a.Versions, b.Versions}, {a.Sysctls, b.Sysctls}} {
		names := slices.Collect(maps.Keys(both[0]))
		names = slices.AppendSeq(names, maps.Keys(both[1]))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			add(name, both[0][name], both[1][name])
		}
	}
	return list
}

// name is a result in a line.
func name(r report.Result) string {
	text := r.Scenario + " " + r.What()
	if r.Family != 0 {
		text += fmt.Sprintf(" %s on %d CPUs", family(r.Family), r.CPUs)
	}
	return text + " by " + r.Target
}

func family(f int) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf("ipv%d", f)
}

// Table has a line for each cell, or for each with a verdict.
func (c *Comparison) Table(changed bool) *output.Table {
	table := output.NewTable("SCENARIO", "WORKLOAD", "FAMILY", "CPUS", "TARGET", "A", "B", "CHANGE", "P", "VERDICT", "NOTE")
	for _, cell := range c.Cells {
		if changed && cell.Verdict != Faster && cell.Verdict != Slower {
			continue
		}
		p, unit := "", "x"
		if cell.P != nil {
			p = fmt.Sprintf("%.4f", *cell.P)
		} else {
			unit = " " + cell.Unit
		}
		what := report.Result{Workload: cell.Workload, Axis: cell.Axis, X: cell.X}.What()
		table.Row(cell.Scenario, what, family(cell.Family), strconv.Itoa(cell.CPUs), cell.Target, report.Figure(cell.A.Median)+unit,
			report.Figure(cell.B.Median)+unit, fmt.Sprintf("%+.1f %%", 100*(cell.Change-1)), p, string(cell.Verdict), cell.Note)
	}
	return table
}

// WriteText writes the comparison for a person.
func (c *Comparison) WriteText(w io.Writer, changed bool) error {
	if err := c.Table(changed).WriteAligned(w); err != nil {
		return err
	}
	text := fmt.Sprintf("\n%d cells: %d faster, %d slower, %d without a difference shown, %d not judged.\n",
		len(c.Cells), c.Count(Faster), c.Count(Slower), c.Count(NotShown), c.Count(NotJudged))
	text += fmt.Sprintf("A and B are medians of the ratios to %s within the rounds. A verdict is by the rank-sum test on these ratios,\n"+
		"exact and two-sided; of all verdicts together no more than one in twenty is chance, on average (Benjamini and Hochberg).\n", c.Baseline)
	for _, d := range c.Differences {
		text += fmt.Sprintf("Differs: %s: %s; %s\n", d.What, orNone(d.A), orNone(d.B))
	}
	for _, only := range []struct {
		run  string
		list []string
	}{{"A", c.OnlyA}, {"B", c.OnlyB}} {
		if len(only.list) > 0 {
			text += fmt.Sprintf("In %s alone: %d, the first: %s\n", only.run, len(only.list), only.list[0])
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print comparison: %w", err)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
