// SPDX-License-Identifier: Apache-2.0

// Package goal holds what the project wants of the benchmark's figures, and judges a report by it.
package goal

import (
	"fmt"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

// own is the target whose figures are judged.
const own = "vethway"

// fairShare is how much of its one CPU the traffic must have had for the rates to be compared; with less, it is what a
// second of CPU time carried that is.
const fairShare = 0.9

// line is one goal. It finds the results that it is about by what they measure.
type line struct {
	group, name string
	cell        cell
	// who is the target that is judged; empty stands for vethway.
	who string
	// rival is the target that the figure is divided by; empty: the figure stands by itself.
	rival string
	// from is the place on the axis where the figure is divided by that of the same target; zero: it is not.
	from int
	// figure picks what is looked at; empty is the median.
	figure figure
	want   float64
	atMost bool
	// rounds is how many it takes to say something.
	rounds int
	// note is what a reader has to know of a figure that misses it.
	note string
}

// cell is what a result measures.
type cell struct {
	scenario, workload string
	family, cpus       int
	axis               string
	x                  int // last stands for the largest that was measured
}

// last is the end of an axis, wherever it is.
const last = -1

type figure string

const (
	rate    figure = ""
	latency figure = "median latency"
)

// Judge holds a report against every goal, in the order of the table.
func Judge(r *report.Report) []report.Goal {
	var goals []report.Goal
	for _, l := range lines() {
		goals = append(goals, l.judge(r.Results))
	}
	return goals
}

func (l line) judge(results []report.Result) report.Goal {
	g := report.Goal{Group: l.group, Name: l.name, Rival: l.rival, Want: l.want, AtMost: l.atMost, State: report.Unmeasured}
	who := l.judged()
	ours, ok := l.cell.find(results, who)
	if !ok {
		g.Note = l.missing(who)
		return g
	}
	g.Own, g.Unit = ours.Median, ours.Unit
	if n := len(values(ours)); l.rounds > n {
		l.addNote(&g, fmt.Sprintf("%d rounds where %d are wanted", n, l.rounds))
	}
	switch {
	case l.rival != "":
		l.against(&g, ours, results)
	case l.from != 0:
		l.along(&g, ours, results)
	default:
		g.Value, g.Low, g.High = ours.Median, ours.Min, ours.Max
	}
	switch {
	case g.Value == 0:
	case l.meets(g.Value):
		g.State = report.Met
	default:
		g.State = report.Missed
		if g.Within() {
			l.addNote(&g, "within the spread")
		}
		if l.note != "" {
			l.addNote(&g, l.note)
		}
	}
	l.limit(&g, ours, results)
	l.tellMet(&g, results)
	return g
}

// tellMet adds what a program takes where containers have met by a published port: the goal is about those that have not.
func (l line) tellMet(g *report.Goal, results []report.Result) {
	met := l.cell
	met.workload += "-hairpins"
	if other, ok := met.find(results, l.judged()); ok {
		l.addNote(g, fmt.Sprintf("%s %s once a container of the network has reached another by a published port", report.Figure(other.Median), other.Unit))
	}
}

// judged is whose figure it is.
func (l line) judged() string {
	if l.who == "" {
		return own
	}
	return l.who
}

// missing says what a run does not have, and how to measure it.
func (l line) missing(target string) string {
	return fmt.Sprintf("%s has no such result: `%s` measures it", target, l.command())
}

// command measures what the goal is about.
func (l line) command() string {
	switch {
	case l.cell.workload == "program":
		return "vethway-bench run --programs"
	case l.cell.cpus == 0:
		return "vethway-bench size"
	case l.cell.axis != "":
		return "vethway-bench run --series " + l.cell.axis
	}
	command := fmt.Sprintf("vethway-bench run --scenario %s --workload %s", l.cell.scenario, l.cell.workload)
	if l.cell.cpus != 1 {
		command += fmt.Sprintf(" --cpus %d", l.cell.cpus)
	}
	targets := l.judged()
	if l.rival != "" {
		targets += "," + l.rival
	}
	return command + " --target " + targets
}

// against divides by the rival, round by round.
func (l line) against(g *report.Goal, ours report.Result, results []report.Result) {
	theirs, ok := l.cell.find(results, l.rival)
	if !ok {
		g.Note = l.missing(l.rival)
		return
	}
	spread, byTime, ok := quotient(ours, theirs)
	if !ok {
		g.Note = fmt.Sprintf("%s was not measured in the same rounds", l.rival)
		return
	}
	g.Theirs = theirs.Median
	if byTime {
		l.addNote(g, "by CPU time, of which others took a part")
	}
	g.Value, g.Low, g.High = spread.Median, spread.Low, spread.High
}

func disturbed(r report.Result) bool { return r.CPUs == 1 && r.Share > 0 && r.Share < fairShare }

func values(r report.Result) []float64 {
	var list []float64
	for _, s := range r.Samples {
		if s.Error == "" {
			list = append(list, s.Value)
		}
	}
	return list
}

// find looks for a target's result with at least one good sample.
func (c cell) find(results []report.Result, who string) (found report.Result, ok bool) {
	for _, r := range results {
		switch {
		case r.Target != who, r.Scenario != c.scenario, r.Workload != c.workload, r.Family != c.family, r.CPUs != c.cpus,
			r.Axis != c.axis, c.x != last && r.X != c.x, r.Median == 0:
			continue
		}
		if !ok || r.X > found.X {
			found, ok = r, true
		}
	}
	return found, ok
}
