// SPDX-License-Identifier: Apache-2.0

package goal

import (
	"fmt"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// What the kernel allows, measured in the same run. README.md says of each what it contains, and why nothing can do with less.
const (
	leastNAT    = "least-nat"
	leastSplice = "least-splice"
	redirect    = "redirect"
	direct      = "direct"

	// What one batch of the kernel's, and the least entries for flows, take: rows of `vethway-bench size`.
	kernelBatch  = "kernel"
	leastEntries = "least-ipv4"
)

// big ends the names of targets with BIG TCP.
const big = "-bigtcp"

// near is how much of the limit a figure has to reach to be excused by it, and by how much it may be above what still is a limit.
const near = 0.95

// limits are the targets that no programs of ours can do better than, the lowest first: the others are for runs without it.
func (l line) limits() []string {
	if l.judged() == "vethway-spliced" {
		if l.streams() {
			return nil // the least lets the reader's queue grow, and is slower
		}
		return []string{leastSplice} // what never becomes a packet is not bound by what moves packets
	}
	variant := ""
	if strings.HasSuffix(l.judged(), big) || l.largeByItself() {
		variant = big
	}
	switch l.cell.scenario {
	case "publish":
		return []string{kernelBatch}
	case "memory":
		if l.cell.axis == "flows" {
			return []string{leastEntries}
		}
		return nil
	case "published", "masquerade":
		return []string{leastNAT + variant, redirect + variant}
	case "create":
		return nil
	}
	return []string{redirect + variant}
}

// largeByItself says whether vethway builds packets of 192 KiB there without anybody asking: then a limit with smaller ones is none.
func (l line) largeByItself() bool {
	return l.cell.scenario == "host" && l.streams()
}

func (l line) streams() bool { return strings.HasPrefix(l.cell.workload, "stream") }

// limit fills in what the limit and a bare veth reached of the goal. A goal that is missed is excused where the limit misses it too and is no
// faster to speak of, or not shown to be. Nor may it be slower to speak of: then it is no limit. Where the limit happens to meet the goal, that is
// excused as well if the rounds neither show that it does nor that it is faster than we are.
func (l line) limit(g *report.Goal, ours report.Result, results []report.Result) {
	if l.from != 0 || g.Value == 0 {
		return
	}
	for _, who := range l.limits() {
		if g.Limit = l.bound(who, ours, results); g.Limit != nil {
			break
		}
	}
	who := direct
	if strings.HasSuffix(ours.Target, big) {
		who += big
	}
	g.Direct = l.bound(who, ours, results)
	if g.Limit == nil || g.State != report.Missed {
		return
	}
	l.addNote(g, "at "+part(g.Limit)+" "+g.Limit.Target)
	share := g.Limit.Share.Median
	if l.atMost {
		share = 1 / share
	}
	switch {
	case share > 1/near:
		l.addNote(g, "so that is no limit of it")
	case !l.meets(g.Limit.Value) && (share >= near || !faster(g.Limit)):
		g.State = report.Limited
		l.addNote(g, "which misses it too")
	case g.Limit.Low <= l.want && l.want <= g.Limit.High && !faster(g.Limit):
		g.State = report.Limited
		l.addNote(g, "which is not shown to meet it, nor to be faster")
	}
}

// faster says whether a limit is shown to be faster than we are. Too few rounds show whatever they come to.
func faster(limit *report.Limit) bool {
	return limit.Share.Rounds < stats.EnoughRounds || limit.Share.High < 1
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
	b := &report.Limit{Target: who, Figure: theirs.Median, Value: theirs.Median, Low: theirs.Min, High: theirs.Max}
	if l.rival != "" {
		rival, ok := l.cell.find(results, l.rival)
		if !ok {
			return nil
		}
		value, _, ok := quotient(theirs, rival)
		if !ok {
			return nil
		}
		b.Value, b.Low, b.High = value.Median, value.Low, value.High
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

func part(limit *report.Limit) string {
	text, share := limit.Part(), limit.Share
	if strings.HasSuffix(text, "times") {
		return text
	}
	if share.Low > 0 && share.High > 0 {
		text += fmt.Sprintf(" (%.0f to %.0f)", 100*share.Low, 100*share.High)
	}
	return text + " of"
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
