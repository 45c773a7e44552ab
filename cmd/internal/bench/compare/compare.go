// SPDX-License-Identifier: Apache-2.0

// Package compare tells what changed between two runs of the benchmark.
package compare

import (
	"slices"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// Version is that of the JSON.
const Version = 1

// Comparison is what changed from run A to run B.
type Comparison struct {
	Version  int    `json:"version"`
	Baseline string `json:"baseline"`
	// Differences are what is not the same of machine and settings.
	Differences []Difference `json:"differences,omitempty"`
	Cells       []Cell       `json:"cells"`
	// OnlyA and OnlyB name what one of the runs alone has measured.
	OnlyA []string `json:"only_a,omitempty"`
	OnlyB []string `json:"only_b,omitempty"`
}

// Cell is one target in one cell of both plans.
type Cell struct {
	Scenario string `json:"scenario"`
	Workload string `json:"workload"`
	Family   int    `json:"family"`
	CPUs     int    `json:"cpus"`
	Axis     string `json:"axis,omitempty"`
	X        int    `json:"x,omitempty"`
	Target   string `json:"target"`
	Unit     string `json:"unit"`
	// A and B are the ratios to the baseline within the rounds; where there is none, the figures themselves.
	A stats.Interval `json:"a"`
	B stats.Interval `json:"b"`
	// Change is B's median by A's.
	Change float64 `json:"change"`
	// P is how often chance alone sets the rounds as far apart; of those that are not judged there is none.
	P       *float64 `json:"p,omitempty"`
	Verdict Verdict  `json:"verdict"`
	Note    string   `json:"note,omitempty"`
}

// Verdict is what may be said of a cell.
type Verdict string

// The verdicts.
const (
	Faster   Verdict = "faster"
	Slower   Verdict = "slower"
	NotShown Verdict = "no difference shown"
	// NotJudged is a figure without a baseline in the same rounds: what differs may be the machine's hour.
	NotJudged Verdict = "not judged"
)

// doubt is the part of the verdicts that may be chance, on average.
const doubt = 0.05

// fairShare is how much of its one CPU the traffic must have had for rates to be compared.
const fairShare = 0.9

// Runs compares two runs by the ratios to a baseline. Without names, it does so for every target.
func Runs(a, b *report.Report, baseline string, targets ...string) *Comparison {
	c := &Comparison{Version: Version, Baseline: baseline, Differences: machines(a.Machine, b.Machine), Cells: []Cell{}}
	wanted := func(r report.Result) bool {
		return r.Target != baseline && r.Median != 0 && (len(targets) == 0 || slices.Contains(targets, r.Target))
	}
	var lower []bool
	for _, own := range a.Results {
		if !wanted(own) {
			continue
		}
		other, ok := find(b.Results, own, own.Target)
		if !ok || other.Median == 0 {
			c.OnlyA = append(c.OnlyA, name(own))
			continue
		}
		c.Cells = append(c.Cells, pair{a.Results, b.Results, own, other}.cell(baseline))
		lower = append(lower, own.LowerIsBetter)
	}
	for _, own := range b.Results {
		if other, ok := find(a.Results, own, own.Target); wanted(own) && (!ok || other.Median == 0) {
			c.OnlyB = append(c.OnlyB, name(own))
		}
	}
	c.judge(lower)
	return c
}

// judge looks at all cells together: of a hundred that are judged one by one, five would differ by chance.
func (c *Comparison) judge(lower []bool) {
	var values []float64
	for _, cell := range c.Cells {
		if cell.P != nil {
			values = append(values, *cell.P)
		}
	}
	found := stats.Discoveries(values, doubt)
	next := 0
	for i := range c.Cells {
		cell := &c.Cells[i]
		if cell.P == nil {
			continue
		}
		if found[next] && cell.Change != 1 {
			cell.Verdict = Slower
			if cell.Change > 1 != lower[i] {
				cell.Verdict = Faster
			}
		}
		next++
	}
}

// Count is how many cells have a verdict.
func (c *Comparison) Count(v Verdict) int {
	n := 0
	for _, cell := range c.Cells {
		if cell.Verdict == v {
			n++
		}
	}
	return n
}

// pair is one target in one cell of two runs.
type pair struct {
	allA, allB []report.Result
	a, b       report.Result
}

func (p pair) cell(baseline string) Cell {
	c := Cell{
		Scenario: p.a.Scenario, Workload: p.a.Workload, Family: p.a.Family, CPUs: p.a.CPUs, Axis: p.a.Axis, X: p.a.X,
		Target: p.a.Target, Unit: p.a.Unit, Verdict: NotShown,
	}
	ratiosA, ratiosB, note := p.ratios(baseline)
	c.Note = note
	if len(ratiosA) == 0 || len(ratiosB) == 0 {
		c.A, c.B = stats.Spread(p.a.Good()), stats.Spread(p.b.Good())
		c.Verdict, c.Note = NotJudged, "no "+baseline+" in the same rounds"
	} else {
		c.A, c.B = stats.Spread(ratiosA), stats.Spread(ratiosB)
		value := stats.RankSum(ratiosA, ratiosB)
		c.P = &value
		if fewest(len(ratiosA), len(ratiosB)) > doubt {
			c.Note = joined("too few rounds", c.Note)
		}
	}
	if c.A.Median != 0 {
		c.Change = c.B.Median / c.A.Median
	}
	return c
}

// ratios are those of the rounds. On a CPU that others used too, in either run, what a second of CPU time carried is
// compared.
func (p pair) ratios(baseline string) (a, b []float64, note string) {
	baseA, okA := find(p.allA, p.a, baseline)
	baseB, okB := find(p.allB, p.b, baseline)
	if !okA || !okB {
		return nil, nil, ""
	}
	if slices.ContainsFunc([]report.Result{p.a, p.b, baseA, baseB}, disturbed) {
		a, b = report.CarriedRatios(p.a, baseA), report.CarriedRatios(p.b, baseB)
		if len(a) > 0 && len(b) > 0 {
			return a, b, "by CPU time"
		}
	}
	return report.RoundRatios(p.a, baseA), report.RoundRatios(p.b, baseB), ""
}

func disturbed(r report.Result) bool { return r.CPUs == 1 && r.Share > 0 && r.Share < fairShare }

// fewest is the least p-value that so many rounds can give: two of all ways to deal them out.
func fewest(a, b int) float64 {
	ways := 1.0
	for i := range a {
		ways *= float64(b+i+1) / float64(i+1)
	}
	return 2 / ways
}

func joined(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

// find looks for a target in the cell of another result.
func find(results []report.Result, cell report.Result, target string) (report.Result, bool) {
	i := slices.IndexFunc(results, func(r report.Result) bool {
		return r.Scenario == cell.Scenario && r.Workload == cell.Workload && r.Family == cell.Family && r.CPUs == cell.CPUs &&
			r.Axis == cell.Axis && r.X == cell.X && r.Target == target
	})
	if i < 0 {
		return report.Result{}, false
	}
	return results[i], true
}
