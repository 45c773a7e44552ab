// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Outcomes of a case, and of a row.
const (
	Pass          = "pass"
	Fail          = "fail"
	NotApplicable = "n/a"
)

// Result is what one target made of one case, or of one behaviour.
type Result struct {
	ID     string `json:"id"`
	Case   string `json:"-"`
	Family string `json:"family"`
	Target string `json:"target"`
	Result string `json:"result"`
	Note   string `json:"note,omitempty"`
}

// Rows sums cases up to behaviours: one Result for each ID, family and target. A behaviour passes when none of its cases
// fails, and at least one applies.
func Rows(cases []Result) []Result {
	var rows []Result
	index := map[string]int{}
	for _, c := range cases {
		key := c.ID + " " + c.Family + " " + c.Target
		i, known := index[key]
		if !known {
			i = len(rows)
			index[key] = i
			rows = append(rows, Result{ID: c.ID, Family: c.Family, Target: c.Target, Result: NotApplicable})
		}
		r := &rows[i]
		switch {
		case c.Result == Fail:
			r.Result = Fail
			r.Note = join(r.Note, c.Case+": "+c.Note)
		case c.Result == Pass && r.Result == NotApplicable:
			r.Result = Pass
		}
	}
	slices.SortStableFunc(rows, func(a, b Result) int {
		return strings.Compare(a.ID+a.Family, b.ID+b.Family)
	})
	return rows
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + " | " + b
}

// The markers that the table stands between.
const (
	tableBegin = "<!-- conformance:begin -->"
	tableEnd   = "<!-- conformance:end -->"
)

// WriteReport writes the JSON report and the table in the README.
func WriteReport(jsonFile, readme string, cases []Result, summaries map[string]string) error {
	rows := Rows(cases)
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return fmt.Errorf("write the conformance report: %w", err)
	}
	if err := os.WriteFile(jsonFile, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the conformance report: %w", err)
	}
	old, err := os.ReadFile(readme)
	if err != nil {
		return fmt.Errorf("write the conformance table: %w", err)
	}
	before, rest, ok1 := strings.Cut(string(old), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		return fmt.Errorf("write the conformance table: %s has no markers", readme)
	}
	table := before + tableBegin + "\n" + Table(cases, summaries) + tableEnd + after
	if err := os.WriteFile(readme, []byte(table), 0o644); err != nil {
		return fmt.Errorf("write the conformance table: %w", err)
	}
	return nil
}

// Table is the report in Markdown: a line for each behaviour, a column for each target, and below what failed, case by case.
func Table(cases []Result, summaries map[string]string) string {
	rows := Rows(cases)
	var ids []string
	cells := map[string]string{}
	for _, r := range rows {
		if !slices.Contains(ids, r.ID) {
			ids = append(ids, r.ID)
		}
		cells[r.ID+r.Target+r.Family] = r.Result
	}
	var b strings.Builder
	targets := Targets()
	fmt.Fprintf(&b, "| | behaviour | %s |\n|---|---|%s\n", strings.Join(targets, " | "), strings.Repeat("---|", len(targets)))
	for _, id := range ids {
		fmt.Fprintf(&b, "| %s | %s |", id, summaries[id])
		for _, target := range targets {
			fmt.Fprintf(&b, " %s |", cell(cells[id+target+"ipv4"], cells[id+target+"ipv6"]))
		}
		b.WriteString("\n")
	}
	for _, target := range targets {
		writeFailures(&b, target, cases)
	}
	b.WriteString("\nWhere vethway and nf_nat may differ (N22):\n\n")
	for _, d := range differences() {
		fmt.Fprintf(&b, "- %s\n", d.why)
	}
	return b.String()
}

// cell joins the results of both families.
func cell(v4, v6 string) string {
	switch {
	case v4 == v6 && v4 == "":
		return "-"
	case v4 == v6 && v4 == Fail:
		return "**fail**"
	case v4 == v6:
		return v4
	}
	return fmt.Sprintf("IPv4 %s, IPv6 %s", v4, v6)
}

func writeFailures(b *strings.Builder, target string, cases []Result) {
	var lines []string
	failed := map[string]bool{}
	for _, c := range cases {
		if c.Target == target && c.Result == Fail {
			failed[c.ID+c.Family+c.Case] = true
		}
	}
	for _, c := range cases {
		// What fails by eth0 need not be told of every other way.
		if base := withoutWay(c.Case); base != c.Case && failed[c.ID+c.Family+base] {
			continue
		}
		if c.Target == target && c.Result == Fail {
			lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |\n", c.ID, c.Case, c.Family, cellText(c.Note)))
		}
	}
	if len(lines) == 0 {
		fmt.Fprintf(b, "\n%s fails nothing.\n", target)
		return
	}
	fmt.Fprintf(b, "\nWhat %s fails:\n\n| | case | family | what was seen |\n|---|---|---|---|\n%s", target, strings.Join(lines, ""))
}

// cellText keeps a note within its cell.
func cellText(s string) string {
	const most = 240
	s = strings.NewReplacer("|", "/", "\n", " ").Replace(s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + " …"
	}
	return s
}
