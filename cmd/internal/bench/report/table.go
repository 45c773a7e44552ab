// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vethway/vethway/cmd/internal/cli/output"
)

// row is one cell of the plan: the results of all targets side by side.
type row struct {
	head    Result
	results map[string]Result
}

// rows groups the results by cell, and lists the targets in the order in which they first appear.
func (r *Report) rows() (rows []row, targets []string) {
	type key struct {
		scenario, what string
		family, cpus   int
	}
	index := make(map[key]int)
	for _, result := range r.Results {
		if !slices.Contains(targets, result.Target) {
			targets = append(targets, result.Target)
		}
		k := key{result.Scenario, result.what(), result.Family, result.CPUs}
		i, ok := index[k]
		if !ok {
			i = len(rows)
			index[k] = i
			rows = append(rows, row{head: result, results: make(map[string]Result)})
		}
		rows[i].results[result.Target] = result
	}
	return rows, targets
}

// What is the workload, with the place on the axis in a series.
func (r Result) What() string { return r.what() }

// Good is the values of the samples that did not fail.
func (r Result) Good() []float64 { return good(r.Samples) }

// WriteText writes the report for a person: a line for each comparison, the baseline's figure and everybody's ratio to it.
func (r *Report) WriteText(w io.Writer, baseline string) error {
	rows, targets := r.rows()
	headers := []string{"SCENARIO", "WORKLOAD", "FAMILY", "CPUS", "UNIT"}
	for _, name := range targets {
		headers = append(headers, strings.ToUpper(name))
	}
	table := output.NewTable(headers...)
	for _, row := range rows {
		cells := []string{row.head.Scenario, row.head.what(), family(row.head.Family), strconv.Itoa(row.head.CPUs), row.head.Unit}
		for _, name := range targets {
			cells = append(cells, relative(row.results[name], baseline))
		}
		table.Row(cells...)
	}
	if err := table.WriteAligned(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nMedians of %s, and the median of the ratios to %s within the rounds.\n%s\n%s",
		r.Machine.Settings.Taken(), baseline, r.Machine, r.proofs()+r.differences()+r.checks())
	if err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// relative is "24.7 1.16x", or the bare figure for the baseline itself.
func relative(result Result, baseline string) string {
	if result.Target == "" || result.Median == 0 {
		return ""
	}
	figure := Figure(result.Median)
	if ratio, ok := result.Ratio[baseline]; ok {
		return fmt.Sprintf("%s %.2fx", figure, ratio)
	}
	return figure
}

// Wide is the report with one line for each result.
func (r *Report) Wide(baseline string) *output.Table {
	table := output.NewTable("SCENARIO", "WORKLOAD", "FAMILY", "CPUS", "TARGET",
		"MEDIAN", "MIN", "MAX", "UNIT", "RATIO", "FAILED", "CPU", "P50 US", "P99 US", "LOST %")
	for _, result := range r.Results {
		ratio := ""
		if value, ok := result.Ratio[baseline]; ok {
			ratio = fmt.Sprintf("%.3f", value)
		}
		table.Row(result.Scenario, result.what(), family(result.Family), strconv.Itoa(result.CPUs), result.Target,
			Figure(result.Median), Figure(result.Min), Figure(result.Max), result.Unit, ratio,
			strconv.Itoa(len(result.Samples)-len(good(result.Samples))), cost(result),
			medianOf(result.Samples, func(s Sample) float64 { return s.P50 }),
			medianOf(result.Samples, func(s Sample) float64 { return s.P99 }),
			medianOf(result.Samples, func(s Sample) float64 { return 100 * s.Lost }))
	}
	return table
}

// cost is the CPU time that one event or one gigabyte took, client and server included.
func cost(result Result) string {
	if result.CostUnit == "" {
		return ""
	}
	return Figure(result.Cost) + " " + result.CostUnit
}

// what is the workload, with the place on the axis in a series: "crr, 1000 ports".
func (r Result) what() string {
	if r.Axis == "" {
		return r.Workload
	}
	return fmt.Sprintf("%s, %d %s", r.Workload, r.X, r.Axis)
}

func family(f int) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf("ipv%d", f)
}

// Figure prints three or more significant digits: 9.87, 24.7, 17012.
func Figure(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}

// String is the machine in a line.
func (m Machine) String() string {
	kind := ""
	if m.Virtual {
		kind = ", virtual"
	}
	return fmt.Sprintf("Linux %s, %s, %d cores%s, %s.", m.Kernel, m.CPU, m.Cores, kind, m.Time)
}

// checks says how far another program's figures are from ours.
func (r *Report) checks() string {
	var b strings.Builder
	for _, c := range r.CrossChecks {
		if c.Ratio.Rounds > 0 {
			fmt.Fprintf(&b, "%s %s %s on %d CPUs, %s: %s measures %.2f (%.2f to %.2f) of our figure\n",
				c.Scenario, c.Workload, family(c.Family), c.CPUs, c.Target, c.By, c.Ratio.Median, c.Ratio.Min, c.Ratio.Max)
		}
	}
	return b.String()
}

// differences are what the reader must know of before comparing two targets.
func (r *Report) differences() string {
	var b strings.Builder
	for _, d := range r.Machine.Differences {
		fmt.Fprintf(&b, "not as the others: veths of %s\n", d)
	}
	return b.String()
}

func (r *Report) proofs() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Machine.Targets)) {
		if proof := r.Machine.Targets[name].Proof; proof != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.TrimSpace(proof))
		}
	}
	return b.String()
}
