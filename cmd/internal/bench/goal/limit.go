// SPDX-License-Identifier: Apache-2.0

package goal

import (
	"fmt"
	"math"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// What the kernel allows, measured in the same run: redirect is the least that programs between veths can do, direct is
// the containers without a host.
const (
	redirect = "redirect"
	direct   = "direct"
)

// big ends the names of targets with BIG TCP.
const big = "-bigtcp"

// near is how much of the limit a figure has to reach to be excused by it.
const near = 0.95

// limit fills in what the two limits reached of the goal. A goal that is missed is excused where redirect misses it too
// and is no faster to speak of. What never becomes a packet is not bound by what moves packets.
func (l line) limit(g *report.Goal, ours report.Result, results []report.Result) {
	if l.from != 0 || g.Value == 0 {
		return
	}
	variant := ""
	if strings.HasSuffix(ours.Target, big) {
		variant = big
	}
	if ours.Target != "vethway-spliced" {
		g.Redirect = l.bound(redirect+variant, ours, results)
	}
	g.Direct = l.bound(direct+variant, ours, results)
	if g.Redirect == nil || g.State != report.Missed {
		return
	}
	l.addNote(g, "at "+percent(g.Redirect.Share)+" of "+g.Redirect.Target)
	share := g.Redirect.Share.Median
	if l.atMost {
		share = 1 / share
	}
	if !l.meets(g.Redirect.Value) && share >= near {
		g.State = report.Limited
		l.addNote(g, "which misses it too")
	}
}

// bound is what a limit has in place of the goal's value, and our part of that; nil where this run does not have it.
func (l line) bound(who string, ours report.Result, results []report.Result) *report.Limit {
	if who == l.rival {
		return nil
	}
	theirs, ok := l.cell.find(results, who)
	if !ok {
		return nil
	}
	b := &report.Limit{Target: who, Figure: theirs.Median, Value: theirs.Median}
	if l.rival != "" {
		rival, ok := l.cell.find(results, l.rival)
		if !ok {
			return nil
		}
		value, _, ok := quotient(theirs, rival)
		if !ok {
			return nil
		}
		b.Value = value.Median
	}
	if b.Share, _, ok = quotient(ours, theirs); !ok {
		// Programs are timed one after the other.
		b.Share = stats.Interval{Median: ours.Median / theirs.Median}
	}
	return b
}

// quotient is one target's figure by another's, round by round; by CPU time where others took a part of it.
func quotient(of, by report.Result) (spread stats.Interval, byTime, ok bool) {
	if disturbed(of) || disturbed(by) {
		if spread, ok = of.Efficiency[by.Target]; ok {
			return spread, true, true
		}
	}
	spread, ok = of.Spread[by.Target]
	return spread, false, ok
}

func percent(share stats.Interval) string {
	text := fmt.Sprintf("%.0f %%", math.Round(100*share.Median))
	if share.Low > 0 && share.High > 0 {
		text += fmt.Sprintf(" (%.0f to %.0f)", 100*share.Low, 100*share.High)
	}
	return text
}

// meets says whether a figure is what is wanted.
func (l line) meets(value float64) bool {
	if l.atMost {
		return value <= l.want
	}
	return value >= l.want
}

func (l line) addNote(g *report.Goal, note string) {
	if g.Note != "" {
		note = g.Note + ", " + note
	}
	g.Note = note
}
