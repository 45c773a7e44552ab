// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Begin and End enclose the part of a README that belongs to the benchmark.
const (
	Begin = "<!-- bench:begin -->"
	End   = "<!-- bench:end -->"
)

// Rewrite changes a file by a function of its text.
func Rewrite(path string, change func(text string) (string, error)) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("update the benchmark's table: %w", err)
	}
	text, err := change(string(data))
	if err != nil {
		return fmt.Errorf("update the benchmark's table in %s: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("update the benchmark's table: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), info.Mode().Perm()); err != nil {
		return fmt.Errorf("update the benchmark's table: %w", err)
	}
	return nil
}

// Update returns the text with the report's table between the markers.
func (r *Report) Update(text, baseline string) (string, error) {
	return Between(text, Begin, End, r.Markdown(baseline))
}

// Between returns the text with another body between two markers.
func Between(text, begin, end, body string) (string, error) {
	before, rest, ok := strings.Cut(text, begin)
	if !ok {
		return "", fmt.Errorf("the line %s is missing", begin)
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("the line %s is missing after %s", end, begin)
	}
	return before + begin + "\n" + body + end + after, nil
}

// Markdown is the report as tables of ratios, one for each scenario, number of CPUs and family: each has the columns of who was measured
// in most of its lines. What stands in few of them is a comparison of its own, and has its place on the page of the run.
func (r *Report) Markdown(baseline string) string {
	rows, targets := r.rows()
	// Curves, and times by themselves, are no lines of a table of ratios.
	rows = slices.DeleteFunc(rows, func(r row) bool { return r.head.Axis != "" || r.head.LowerIsBetter })
	var b strings.Builder
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].where() == rows[0].where() {
			n++
		}
		markdownTable(&b, rows[:n], targets, baseline)
		rows = rows[n:]
	}
	fmt.Fprintf(&b, "Medians of %s, interleaved; the ratio to %s is the median of the ratios within the rounds. %s\n",
		r.Machine.Settings.Taken(), baseline, r.Machine)
	return b.String()
}

// where is what the lines of a table have in common.
func (r row) where() string {
	if r.head.CPUs == 1 {
		return fmt.Sprintf("%s, %s, one CPU", r.head.Scenario, family(r.head.Family))
	}
	return fmt.Sprintf("%s, %s, %d CPUs", r.head.Scenario, family(r.head.Family), r.head.CPUs)
}

func markdownTable(b *strings.Builder, rows []row, targets []string, baseline string) {
	targets = slices.DeleteFunc(slices.Clone(targets), func(target string) bool {
		n := 0
		for _, row := range rows {
			if row.results[target].Median != 0 {
				n++
			}
		}
		return 2*n <= len(rows)
	})
	fmt.Fprintf(b, "| %s | %s |\n|---|%s\n", rows[0].where(), strings.Join(targets, " | "), strings.Repeat("---:|", len(targets)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |", row.head.what())
		for _, name := range targets {
			fmt.Fprintf(b, " %s |", markdownCell(row.results[name], baseline))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

func markdownCell(result Result, baseline string) string {
	if result.Target == "" || result.Median == 0 {
		return "-"
	}
	if ratio, ok := result.Ratio[baseline]; ok {
		return fmt.Sprintf("%.2f", ratio)
	}
	return Figure(result.Median) + " " + result.Unit
}
