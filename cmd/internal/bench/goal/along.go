// SPDX-License-Identifier: Apache-2.0

package goal

import (
	"fmt"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// along divides by the same target's figure at the beginning of the axis: round by round where that was measured once more
// beside it, because from one point to the next the machine itself may become slower.
func (l line) along(g *report.Goal, ours report.Result, results []report.Result) {
	if ours.X == l.from {
		g.Note = "only one place of the axis was measured"
		return
	}
	g.Note = fmt.Sprintf("%d %s, against %d", ours.X, ours.Axis, l.from)
	beside := l.cell
	beside.x = ours.X
	if first, ok := beside.find(results, report.FirstName(ours.Target, l.from)); ok {
		g.Note += " in the same rounds"
		l.inRounds(g, ours, first)
		return
	}
	start := l.cell
	start.x = l.from
	if first, ok := start.find(results, ours.Target); ok {
		g.Note += " at another time"
		l.apart(g, ours, first)
	} else {
		g.Note = fmt.Sprintf("%d %s were not measured", l.from, ours.Axis)
	}
}

// inRounds divides what was measured side by side.
func (l line) inRounds(g *report.Goal, ours, first report.Result) {
	g.Theirs = first.Median
	if l.figure == latency {
		g.Own, g.Theirs, g.Unit = ours.P50, first.P50, "us"
		spread := stats.Spread(report.LatencyRatios(ours, first))
		g.Value, g.Low, g.High = spread.Median, spread.Low, spread.High
		return
	}
	spread, byTime, ok := quotient(ours, first)
	if !ok {
		return
	}
	if byTime {
		l.addNote(g, "by CPU time, of which others took a part")
	}
	g.Value, g.Low, g.High = spread.Median, spread.Low, spread.High
}

// apart divides what was not.
func (l line) apart(g *report.Goal, ours, first report.Result) {
	g.Theirs = first.Median
	a, b := ours.Median, first.Median
	if l.figure == rate && (disturbed(ours) || disturbed(first)) {
		// What an event costs is the same whoever else wants the CPU.
		a, b = first.Cost, ours.Cost
		l.addNote(g, "by CPU time")
	}
	if l.figure == latency {
		g.Own, g.Theirs, g.Unit = ours.P50, first.P50, "us"
		a, b = ours.P50, first.P50
	}
	if b == 0 {
		return
	}
	g.Value = a / b
	if l.figure == rate && b == first.Median {
		low, high := stats.Spread(values(ours)), stats.Spread(values(first))
		if high.High > 0 && high.Low > 0 {
			g.Low, g.High = low.Low/high.High, low.High/high.Low
		}
	}
}
