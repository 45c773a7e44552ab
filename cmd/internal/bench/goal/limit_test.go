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
	const missed = "at 96 % (96 to 96) of least-nat"
	for name, tc := range map[string]struct {
		own, least  float64
		state, note string
	}{
		"met":                       {1.50, 1.60, report.Met, ""},
		"the limit would meet it":   {1.38, 1.4375, report.Missed, missed},
		"the limit misses it too":   {1.248, 1.30, report.Limited, missed + ", which misses it too"},
		"far from the limit":        {0.90, 1.30, report.Missed, "at 69 % (69 to 69) of least-nat"},
		"faster than the limit":     {1.35, 1.30, report.Limited, "at 104 % (104 to 104) of least-nat, which misses it too"},
		"much faster":               {1.32, 1.20, report.Missed, "at 110 % (110 to 110) of least-nat, so that is no limit of it"},
		"no limit in the same cell": {1.35, 0, report.Missed, ""},
	} {
		// What moves packets without translating any, has nothing to say where the other one was measured.
		times := map[string]float64{"vethway": tc.own, "iptables": 1, "direct": 2}
		if tc.least != 0 {
			times["least-nat"], times["redirect"] = tc.least, tc.own
		}
		l := pinned()[2]
		g := l.judge(measured(times))
		if g.Name != "published rr" || g.State != tc.state || g.Note != tc.note {
			t.Errorf("%s: %s is %s, %q, want %s, %q", name, g.Name, g.State, g.Note, tc.state, tc.note)
		}
		if g.Direct == nil || g.Direct.Value != 2 || g.Direct.Share.Median != tc.own/2 || g.Direct.Figure != 200 {
			t.Errorf("%s: direct is %+v", name, g.Direct)
		}
		if (g.Limit != nil) != (tc.least != 0) || g.Limit != nil && (g.Limit.Value != tc.least || g.Limit.Low != tc.least) {
			t.Errorf("%s: the limit is %+v", name, g.Limit)
		}
	}
}

// Each line has the limit of what it is about: none is excused by something that could be done without.
func TestEveryLineHasItsLimit(t *testing.T) {
	for _, l := range lines() {
		c, want := l.cell, ""
		switch {
		case l.who == "vethway-spliced":
			if c.workload == "rr-poll" {
				want = "least-splice"
			}
		case c.scenario == "create", c.scenario == "memory" && c.axis == "ports":
		case c.scenario == "publish":
			want = "kernel"
		case c.scenario == "memory":
			want = "least-ipv4"
		case c.scenario == "published" || c.scenario == "masquerade":
			want = "least-nat"
		case c.scenario == "c2c" || c.scenario == "host":
			want = "redirect"
		}
		if want != "" && (l.who == "vethway-bigtcp" || c.scenario == "host" && c.workload == "stream-in") {
			want += "-bigtcp"
		}
		got := ""
		if limits := l.limits(); len(limits) > 0 {
			got = limits[0]
		}
		if got != want {
			t.Errorf("%s, %s: the limit is %q, want %q", l.group, l.name, got, want)
		}
	}
}

// A limit that happens to meet the goal excuses who is not shown to be slower, unless it is shown to meet it.
func TestLimitThatIsNotApart(t *testing.T) {
	l := pinned()[4] // at least 1.53
	for name, tc := range map[string]struct {
		limit, share stats.Interval
		state        string
	}{
		"neither shown":        {stats.Interval{Median: 1.54, Low: 1.51, High: 1.56}, stats.Interval{Median: 0.985, Low: 0.97, High: 1.01, Rounds: 11}, report.Limited},
		"it meets the goal":    {stats.Interval{Median: 1.56, Low: 1.54, High: 1.58}, stats.Interval{Median: 0.985, Low: 0.97, High: 1.01, Rounds: 11}, report.Missed},
		"it is faster":         {stats.Interval{Median: 1.54, Low: 1.51, High: 1.56}, stats.Interval{Median: 0.985, Low: 0.97, High: 0.99, Rounds: 11}, report.Missed},
		"too few rounds":       {stats.Interval{Median: 1.54, Low: 1.51, High: 1.56}, stats.Interval{Median: 0.985, Low: 0.97, High: 1.01, Rounds: 5}, report.Missed},
		"it misses the goal":   {stats.Interval{Median: 1.52, Low: 1.51, High: 1.56}, stats.Interval{Median: 0.985, Low: 0.97, High: 0.99, Rounds: 11}, report.Limited},
		"and may be no faster": {stats.Interval{Median: 1.52, Low: 1.51, High: 1.56}, stats.Interval{Median: 0.93, Low: 0.86, High: 1.03, Rounds: 11}, report.Limited},
		"and is faster":        {stats.Interval{Median: 1.52, Low: 1.51, High: 1.56}, stats.Interval{Median: 0.93, Low: 0.86, High: 0.97, Rounds: 11}, report.Missed},
	} {
		head := report.Result{Scenario: "published", Workload: "udp", Family: 4, CPUs: 1, Unit: "packets/s", Median: 100, Share: 1}
		ours, theirs, least := head, head, head
		ours.Target, theirs.Target, least.Target = "vethway", "iptables", "least-nat"
		ours.Spread = map[string]stats.Interval{"iptables": {Median: 1.51, Low: 1.49, High: 1.54}, "least-nat": tc.share}
		least.Spread = map[string]stats.Interval{"iptables": tc.limit}
		if g := l.judge([]report.Result{ours, theirs, least}); g.State != tc.state {
			t.Errorf("%s: %s, %q, want %s", name, g.State, g.Note, tc.state)
		}
	}
}

// A run that was saved before there was the lower limit has the higher one.
func TestWithoutTheLowest(t *testing.T) {
	g := pinned()[2].judge(measured(map[string]float64{"vethway": 1.25, "iptables": 1, "redirect": 1.3}))
	if g.State != report.Limited || g.Limit == nil || g.Limit.Target != "redirect" {
		t.Errorf("%s, the limit is %+v", g.State, g.Limit)
	}
}

// What the goal divides by is no limit of it.
func TestRivalIsNoLimit(t *testing.T) {
	for _, l := range bare() {
		if l.name != "published rr" {
			continue
		}
		g := l.judge(measured(map[string]float64{"vethway": 1.4, "redirect": 1.45, "direct": 1.5}))
		if g.Direct != nil || g.Limit == nil || g.Limit.Value != 1.45/1.5 {
			t.Errorf("limit %+v, direct %+v", g.Limit, g.Direct)
		}
	}
}

// A limit of BIG TCP has BIG TCP.
func TestLimitIsOfItsKind(t *testing.T) {
	l := large()[0]
	l.cell.workload = "rr"
	g := l.judge(measured(map[string]float64{"vethway-bigtcp": 2, "iptables": 1, "least-nat": 3, "direct": 3, "least-nat-bigtcp": 2.1}))
	if g.State != report.Limited || g.Limit == nil || g.Limit.Target != "least-nat-bigtcp" || g.Direct != nil {
		t.Errorf("%s, limit %+v, direct %+v", g.State, g.Limit, g.Direct)
	}
}

func TestLimitOfPrograms(t *testing.T) {
	l := programs()[0]
	at := func(target string, ns float64) report.Result {
		return report.Result{Scenario: "published", Workload: "program", Family: 4, CPUs: 1, Target: target, Unit: "ns", Median: ns}
	}
	g := l.judge([]report.Result{at("vethway", 100), at("least-nat", 20)})
	if g.State != report.Missed || g.Limit == nil || g.Limit.Value != 20 || g.Limit.Share.Median != 5 || g.Note != "at 5.0 times least-nat" {
		t.Errorf("%s, limit %+v", g.State, g.Limit)
	}
}

// What never becomes a packet is bound by nothing that moves packets, but by the least that splices; a stream is not by that either.
func TestLimitOfSpliced(t *testing.T) {
	for _, tc := range []struct {
		line  int
		least float64
		limit string
		state string
	}{
		{0, 0, "", report.Missed}, // a run of before there was it
		{0, 2.05, "least-splice", report.Limited},
		{0, 2.15, "least-splice", report.Missed},
		{0, 2.25, "least-splice", report.Missed},
		{1, 1.65, "", report.Missed},
	} {
		l := spliced()[tc.line]
		own := l.want * 0.91
		times := map[string]float64{"vethway-spliced": own, "iptables": 1, "redirect": 1.5, "direct": 1.6}
		if tc.least != 0 {
			times["least-splice"] = tc.least
		}
		results := measured(times)
		for i := range results {
			results[i].Scenario, results[i].Workload = l.cell.scenario, l.cell.workload
		}
		g := l.judge(results)
		limit := ""
		if g.Limit != nil {
			limit = g.Limit.Target
		}
		if g.State != tc.state || limit != tc.limit || g.Direct == nil || g.Direct.Value != 1.6 {
			t.Errorf("%s beside %v: %s, limit %+v, direct %+v", l.name, tc.least, g.State, g.Limit, g.Direct)
		}
	}
}
