// SPDX-License-Identifier: Apache-2.0

package goal

import (
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// measured is a cell in which each target has so many times what iptables has.
func measured(times map[string]float64) []report.Result {
	var list []report.Result
	for target, own := range times {
		r := report.Result{
			Scenario: "published", Workload: "rr", Family: 4, CPUs: 1, Target: target, Unit: "transactions/s", Median: 100 * own, Share: 1,
			Spread: map[string]stats.Interval{},
		}
		for other, theirs := range times {
			r.Spread[other] = stats.Interval{Median: own / theirs, Low: own / theirs, High: own / theirs}
		}
		list = append(list, r)
	}
	return list
}

func TestLimits(t *testing.T) {
	const missed = "at 96 % (96 to 96) of redirect"
	for name, tc := range map[string]struct {
		own, redirect float64
		state, note   string
	}{
		"met":                       {1.50, 1.60, report.Met, ""},
		"the limit would meet it":   {1.38, 1.4375, report.Missed, missed},
		"the limit misses it too":   {1.248, 1.30, report.Limited, missed + ", which misses it too"},
		"far from the limit":        {0.90, 1.30, report.Missed, "at 69 % (69 to 69) of redirect"},
		"faster than the limit":     {1.35, 1.30, report.Limited, "at 104 % (104 to 104) of redirect, which misses it too"},
		"no limit in the same cell": {1.35, 0, report.Missed, ""},
	} {
		times := map[string]float64{"vethway": tc.own, "iptables": 1, "direct": 2}
		if tc.redirect != 0 {
			times["redirect"] = tc.redirect
		}
		l := pinned()[2]
		g := l.judge(measured(times))
		if g.Name != "published rr" || g.State != tc.state || g.Note != tc.note {
			t.Errorf("%s: %s is %s, %q, want %s, %q", name, g.Name, g.State, g.Note, tc.state, tc.note)
		}
		if g.Direct == nil || g.Direct.Value != 2 || g.Direct.Share.Median != tc.own/2 || g.Direct.Figure != 200 {
			t.Errorf("%s: direct is %+v", name, g.Direct)
		}
		if (g.Redirect != nil) != (tc.redirect != 0) || g.Redirect != nil && g.Redirect.Value != tc.redirect {
			t.Errorf("%s: redirect is %+v", name, g.Redirect)
		}
	}
}

// What the goal divides by is no limit of it.
func TestRivalIsNoLimit(t *testing.T) {
	for _, l := range bare() {
		if l.name != "published rr" {
			continue
		}
		g := l.judge(measured(map[string]float64{"vethway": 1.4, "redirect": 1.45, "direct": 1.5}))
		if g.Direct != nil || g.Redirect == nil || g.Redirect.Value != 1.45/1.5 {
			t.Errorf("redirect %+v, direct %+v", g.Redirect, g.Direct)
		}
	}
}

// A limit of BIG TCP has BIG TCP.
func TestLimitIsOfItsKind(t *testing.T) {
	l := large()[0]
	l.cell.workload = "rr"
	g := l.judge(measured(map[string]float64{"vethway-bigtcp": 2, "iptables": 1, "redirect": 3, "direct": 3, "redirect-bigtcp": 2.1}))
	if g.State != report.Limited || g.Redirect == nil || g.Redirect.Target != "redirect-bigtcp" || g.Direct != nil {
		t.Errorf("%s, redirect %+v, direct %+v", g.State, g.Redirect, g.Direct)
	}
}

func TestLimitOfPrograms(t *testing.T) {
	l := programs()[0]
	at := func(target string, ns float64) report.Result {
		return report.Result{Scenario: "published", Workload: "program", Family: 4, CPUs: 1, Target: target, Unit: "ns", Median: ns}
	}
	g := l.judge([]report.Result{at("vethway", 100), at("redirect", 20)})
	if g.State != report.Missed || g.Redirect == nil || g.Redirect.Value != 20 || g.Redirect.Share.Median != 5 {
		t.Errorf("%s, redirect %+v", g.State, g.Redirect)
	}
}

// What never becomes a packet is bound by nothing that moves packets.
func TestSplicedHasNoLimitOfPackets(t *testing.T) {
	l := spliced()[0]
	l.cell.scenario, l.cell.workload = "published", "rr"
	g := l.judge(measured(map[string]float64{"vethway-spliced": 2, "iptables": 1, "redirect": 1.5, "direct": 1.6}))
	if g.State != report.Missed || g.Redirect != nil || g.Direct == nil || g.Direct.Value != 1.6 {
		t.Errorf("%s, redirect %+v, direct %+v", g.State, g.Redirect, g.Direct)
	}
}
