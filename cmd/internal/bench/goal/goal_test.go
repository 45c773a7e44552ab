// SPDX-License-Identifier: Apache-2.0

package goal

import (
	"slices"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
)

func results() []report.Result {
	pair := func(workload string, share, ratio, byTime float64) []report.Result {
		head := report.Result{Scenario: "published", Workload: workload, Family: 4, CPUs: 1, Unit: "packets/s", Share: share}
		ours, theirs := head, head
		ours.Target, ours.Median = "vethway", 150
		ours.Spread = map[string]stats.Interval{"iptables": {Median: ratio, Low: ratio - 0.1, High: ratio + 0.1}}
		ours.Efficiency = map[string]stats.Interval{"iptables": {Median: byTime, Low: byTime, High: byTime}}
		theirs.Target, theirs.Median = "iptables", 100
		return []report.Result{ours, theirs}
	}
	along := func(x int, median float64) report.Result {
		return report.Result{
			Scenario: "published", Workload: "crr", Family: 4, CPUs: 1, Target: "vethway", Axis: "ports", X: x, Unit: "connections/s",
			Median: median, Share: 1, P50: 60, Samples: []report.Sample{{Value: median}},
		}
	}
	all := slices.Concat(pair("stream-in", 1, 1.50, 1), pair("stream-out", 1, 1.40, 1), pair("rr", 0.5, 1.1, 1.45), pair("udp", 1, 1.2, 1))
	return append(all, along(1, 100), along(1000, 99), along(10000, 90),
		report.Result{Scenario: "publish", Workload: "publish", Axis: "ports", X: 10000, Target: "vethway", Unit: "ms", Median: 25, Min: 19, Max: 30})
}

func TestJudge(t *testing.T) {
	goals := Judge(&report.Report{Results: results()})
	for _, want := range []report.Goal{
		{Name: "published stream-in", State: report.Met, Value: 1.50},
		{Name: "published stream-out", State: report.Missed, Value: 1.40, Note: "within the spread"},
		{Name: "published rr", State: report.Met, Value: 1.45, Note: "by CPU time, of which others took a part"},
		{Name: "published udp", State: report.Missed, Value: 1.2},
		{Name: "published crr", State: report.Unmeasured, Note: lacks("vethway", "run --scenario published --workload crr --target vethway,iptables")},
		{Name: "connections/s, most ports to one", State: report.Missed, Value: 0.9, Note: "10000 ports, against 1 at another time"},
		{Name: "connection latency, most ports to one", State: report.Met, Value: 1, Note: "10000 ports, against 1 at another time"},
		{Name: "connections/s at 10,000 ports", State: report.Unmeasured, Note: lacks("iptables", "run --series ports")},
		{Name: "10,000 ports by one request", State: report.Missed, Value: 25, Note: "within the spread"},
		{Name: "65,000 ports by one request", State: report.Unmeasured, Note: lacks("vethway", "size")},
	} {
		i := slices.IndexFunc(goals, func(g report.Goal) bool { return g.Name == want.Name })
		if i < 0 {
			t.Errorf("no goal %q", want.Name)
			continue
		}
		if got := goals[i]; got.State != want.State || got.Value != want.Value || got.Note != want.Note {
			t.Errorf("%s: %s, %v, %q, want %s, %v, %q", want.Name, got.State, got.Value, got.Note, want.State, want.Value, want.Note)
		}
	}
}

func lacks(target, command string) string {
	return target + " has no such result: `vethway-bench " + command + "` measures it"
}

// A goal that names what does not exist would be unmeasured for ever.
func TestLinesNameWhatThereIs(t *testing.T) {
	var scenarios, workloads, targets []string
	for _, s := range target.Scenarios() {
		scenarios = append(scenarios, string(s))
	}
	for _, w := range workload.All() {
		workloads = append(workloads, w.Name)
	}
	for _, m := range target.All() {
		targets = append(targets, m.Name)
	}
	for _, l := range lines() {
		// What is published and created, and what programs cost, are no traffic.
		if c := l.cell; c.workload != "program" && c.cpus != 0 {
			if !slices.Contains(scenarios, c.scenario) || !slices.Contains(workloads, c.workload) {
				t.Errorf("%s, %s: %s and %s do not both exist", l.group, l.name, c.scenario, c.workload)
			}
		}
		for _, who := range []string{l.who, l.rival} {
			if who != "" && !slices.Contains(targets, who) {
				t.Errorf("%s, %s: no target %s", l.group, l.name, who)
			}
		}
		if l.want <= 0 || l.group == "" || l.name == "" {
			t.Errorf("a goal without a figure or a name: %+v", l)
		}
	}
}

// A machine that has become slower since the first point is no cost of the ports: what stands beside tells.
func TestAlongIsJudgedInRounds(t *testing.T) {
	rounds := func(values ...float64) (list []report.Sample) {
		for _, v := range values {
			list = append(list, report.Sample{Value: v, Seconds: 1, OwnSeconds: 1, P50: 1e4 / v})
		}
		return list
	}
	at := func(target string, x int, samples []report.Sample) report.Result {
		return report.Result{
			Scenario: "published", Workload: "crr", Family: 4, CPUs: 1, Target: target, Axis: "ports", X: x, Unit: "connections/s", Samples: samples,
		}
	}
	first := []report.Result{at("vethway", 1, rounds(100, 100, 100))}
	later := []report.Result{at("vethway", 65000, rounds(79, 60, 79)), at("vethway@1", 65000, rounds(80, 80, 80))}
	report.Summarize(first)
	report.Summarize(later)
	lines := ports()
	for i, want := range map[int]float64{0: 79.0 / 80, 2: 80.0 / 79} {
		g := lines[i].judge(slices.Concat(first, later))
		if g.State != report.Met || g.Value < want-1e-9 || g.Value > want+1e-9 || g.Note != "65000 ports, against 1 in the same rounds" {
			t.Errorf("%s: %s, %v, %q, want %v", g.Name, g.State, g.Value, g.Note, want)
		}
	}
	if g := lines[0].judge(slices.Concat(first, later[:1])); g.State != report.Missed || g.Note != "65000 ports, against 1 at another time" {
		t.Errorf("without the first beside it: %s, %v, %q", g.State, g.Value, g.Note)
	}
}

// What a user sees swings widely: a goal of it says when too few rounds judge it.
func TestFewRoundsAreNoted(t *testing.T) {
	l := unpinned()[2]
	for rounds, want := range map[int]string{5: "5 rounds where 11 are wanted", 11: ""} {
		list := measured(map[string]float64{"vethway": 1.5, "iptables": 1})
		for i := range list {
			list[i].CPUs, list[i].Samples = 2, slices.Repeat([]report.Sample{{Value: 1}}, rounds)
		}
		if g := l.judge(list); g.State != report.Met || g.Note != want {
			t.Errorf("%d rounds: %s, %q, want %q", rounds, g.State, g.Note, want)
		}
	}
}

// What goes between containers costs more once two have met by a published port. A goal that is met before says so.
func TestProgramsTellOfHairpins(t *testing.T) {
	at := func(workload string, ns float64) report.Result {
		return report.Result{Scenario: "c2c", Workload: workload, Family: 4, CPUs: 1, Target: "vethway", Unit: "ns", Median: ns}
	}
	g := programs()[4].judge([]report.Result{at("program", 20), at("program-hairpins", 95)})
	const want = "95.0 ns once a container of the network has reached another by a published port"
	if g.Name != "container to container, IPv4" || g.State != report.Met || g.Value != 20 || g.Note != want {
		t.Errorf("%s is %s, %v, %q, want %q", g.Name, g.State, g.Value, g.Note, want)
	}
}
