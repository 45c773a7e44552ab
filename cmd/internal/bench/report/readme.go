// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"os"
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

// Markdown is the report's table of ratios.
func (r *Report) Markdown(baseline string) string {
	rows, targets := r.rows()
	var b strings.Builder
	fmt.Fprintf(&b, "| scenario | workload | %s | %s |\n", "family, CPUs", strings.Join(targets, " | "))
	fmt.Fprintf(&b, "|---|---|---|%s\n", strings.Repeat("---:|", len(targets)))
	for _, row := range rows {
		// Curves, and times by themselves, are no lines of a table of ratios.
		if row.head.Axis != "" || row.head.LowerIsBetter {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s, %d |", row.head.Scenario, row.head.what(), family(row.head.Family), row.head.CPUs)
		for _, name := range targets {
			fmt.Fprintf(&b, " %s |", markdownCell(row.results[name], baseline))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\nMedians of %d interleaved rounds; the ratio to %s is the median of the ratios within the rounds. %s\n",
		r.Machine.Settings.Rounds, baseline, r.Machine)
	return b.String()
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
