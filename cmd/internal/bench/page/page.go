// SPDX-License-Identifier: Apache-2.0

// Package page shows a report in a browser: one file, which needs neither a network nor scripts.
package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/vethway/vethway/cmd/internal/bench/chart"
	"github.com/vethway/vethway/cmd/internal/bench/report"
)

//go:embed page.html
var layout string

//go:embed page.css
var style string

// view is what the layout shows.
type view struct {
	Style    template.CSS
	Machine  report.Machine
	Baseline string
	Legend   template.HTML
	Facts    []fact
	Warning  string
	Goals    goals
	Ratios   []figure
	Latency  []figure
	Series   []figure
	Terms    []Term
	Alone    []report.Result
	Results  []report.Result
	Checks   []report.CrossCheck
}

type fact struct{ Name, Value string }

// figure is a chart and what stands above and below it.
type figure struct {
	Name, Note string
	SVG        template.HTML
}

// Term says what a name of the report means.
type Term struct{ Kind, Name, Meaning string }

// Write writes the page of a report, with ratios to a baseline. Of the glossary it shows what the report uses.
func Write(w io.Writer, r *report.Report, baseline string, glossary ...Term) error {
	t, err := template.New("page").Funcs(functions()).Parse(layout)
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	v := view{
		Style: template.CSS(style + chart.Style()), Machine: r.Machine, Baseline: baseline,
		Facts: facts(r), Warning: warning(r), Goals: judged(r.Goals),
		Ratios: ratios(r.Results, baseline), Latency: latencies(r.Results), Series: series(r.Results),
		Terms: used(glossary, r.Results), Alone: alone(r.Results), Results: r.Results, Checks: r.CrossChecks,
	}
	if targets := targetsOf(r.Results); len(targets) > 0 {
		v.Legend = template.HTML(chart.Legend(targets))
	}
	var page bytes.Buffer
	if err := t.Execute(&page, v); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if _, err := w.Write(page.Bytes()); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"figure":  figureOf,
		"samples": samples,
		"ratio": func(r report.Result, baseline string) string {
			if v, ok := r.Ratio[baseline]; ok {
				return fmt.Sprintf("%.3f", v)
			}
			return "–"
		},
		"scenario": scenarioName,
		"family":   familyName,
	}
}

func figureOf(v float64) string {
	if v == 0 {
		return "–"
	}
	return report.Figure(v)
}

// samples lists what each round gave; a failed one says why.
func samples(r report.Result) []fact {
	var list []fact
	for _, s := range r.Samples {
		if s.Error != "" {
			list = append(list, fact{Name: s.Error, Value: "failed"})
			continue
		}
		list = append(list, fact{Value: report.Figure(s.Value)})
	}
	return list
}

// targetsOf lists the targets in the order in which they first appear.
func targetsOf(results []report.Result) []string {
	var list []string
	for _, r := range results {
		if !slices.Contains(list, r.Target) {
			list = append(list, r.Target)
		}
	}
	return list
}

// used leaves out what the results do not name.
func used(glossary []Term, results []report.Result) []Term {
	return slices.DeleteFunc(slices.Clone(glossary), func(t Term) bool {
		return !slices.ContainsFunc(results, func(r report.Result) bool {
			return slices.Contains([]string{r.Scenario, r.Workload, r.Target}, t.Name)
		})
	})
}

// alone are results that nobody else has, and that are no curve.
func alone(results []report.Result) []report.Result {
	var list []report.Result
	for _, r := range results {
		if r.Axis == "" && len(r.Ratio) == 0 && r.Median != 0 && lonely(results, r) {
			list = append(list, r)
		}
	}
	return list
}

func lonely(results []report.Result, r report.Result) bool {
	return !slices.ContainsFunc(results, func(o report.Result) bool { return o.Target != r.Target && cellOf(o) == cellOf(r) })
}
