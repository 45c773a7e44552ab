// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

// run makes a report of cells with a baseline, and vethway so many times as fast; rounds differ by a few percent, and the
// machine by much more.
func run(seed uint64, rounds int, factors ...float64) *report.Report {
	random := rand.New(rand.NewPCG(seed, 1))
	r := new(report.Report)
	for i, factor := range factors {
		cell := []report.Result{
			{Scenario: "published", Workload: fmt.Sprintf("w%d", i), Family: 4, CPUs: 1, Target: "iptables", Unit: "1/s"},
			{Scenario: "published", Workload: fmt.Sprintf("w%d", i), Family: 4, CPUs: 1, Target: "vethway", Unit: "1/s"},
		}
		for range rounds {
			machine := 1000 * (1 + random.Float64())
			noise := 1 + 0.04*(random.Float64()-0.5)
			cell[0].Samples = append(cell[0].Samples, report.Sample{Value: machine, Seconds: 1})
			cell[1].Samples = append(cell[1].Samples, report.Sample{Value: machine * factor * noise, Seconds: 1})
		}
		report.Summarize(cell)
		r.Results = append(r.Results, cell...)
	}
	return r
}

func TestRuns(t *testing.T) {
	a, b := run(1, 11, 1.4, 1.4, 1.4), run(2, 11, 1.4, 1.6, 1.2)
	c := Runs(a, b, "iptables")
	if len(c.Cells) != 3 {
		t.Fatalf("%d cells: %+v", len(c.Cells), c.Cells)
	}
	for i, want := range []Verdict{NotShown, Faster, Slower} {
		if got := c.Cells[i]; got.Verdict != want || got.P == nil || got.A.Rounds != 11 {
			t.Errorf("cell %d: %+v, want %s", i, got, want)
		}
	}
	back := Runs(b, a, "iptables")
	if back.Cells[1].Verdict != Slower || back.Cells[2].Verdict != Faster {
		t.Errorf("the other way round: %+v", back.Cells)
	}
	for i := range a.Results {
		a.Results[i].LowerIsBetter, b.Results[i].LowerIsBetter = true, true
	}
	times := Runs(a, b, "iptables")
	if times.Cells[1].Verdict != Slower || times.Cells[2].Verdict != Faster {
		t.Errorf("of times: %+v", times.Cells)
	}
}

// Of two runs of the same, next to nothing may be called faster or slower, however many cells there are.
func TestTheSameIsTheSame(t *testing.T) {
	factors := make([]float64, 200)
	for i := range factors {
		factors[i] = 1.4
	}
	c := Runs(run(3, 9, factors...), run(4, 9, factors...), "iptables")
	if n := c.Count(Faster) + c.Count(Slower); n > 1 {
		t.Errorf("%d of %d cells have a verdict", n, len(c.Cells))
	}
}

func TestTooFewRounds(t *testing.T) {
	c := Runs(run(1, 3, 1.4), run(2, 3, 2.8), "iptables")
	if got := c.Cells[0]; got.Verdict != NotShown || got.Note != "too few rounds" {
		t.Errorf("%+v", got)
	}
	if c := Runs(run(1, 5, 1.4), run(2, 5, 2.8), "iptables"); c.Cells[0].Verdict != Faster {
		t.Errorf("five rounds of one cell: %+v", c.Cells[0])
	}
}

// When others used the CPU, what counts is what a second of CPU time carried.
func TestByCPUTime(t *testing.T) {
	a, b := run(1, 11, 1.4), run(2, 11, 1.4)
	for _, r := range []*report.Report{a, b} {
		for i := range r.Results {
			for n := range r.Results[i].Samples {
				r.Results[i].Samples[n].OwnSeconds = 0.5
			}
		}
	}
	own := b.Results[1]
	for n := range own.Samples {
		own.Samples[n].Value, own.Samples[n].OwnSeconds = own.Samples[n].Value/2, 0.25
	}
	report.Summarize(a.Results)
	report.Summarize(b.Results)
	if got := Runs(a, b, "iptables").Cells[0]; got.Verdict != NotShown || got.Note != "by CPU time" {
		t.Errorf("half the CPU is taken for half the speed: %+v", got)
	}
}

func TestWhatCannotBeJudged(t *testing.T) {
	a, b := run(1, 11, 1.4, 1.4), run(2, 11, 1.4)
	alone := report.Result{Scenario: "publish", Workload: "publish", Axis: "ports", X: 10000, Target: "vethway", Unit: "ms", Median: 300,
		Samples: []report.Sample{{Value: 300}}}
	a.Results = append(a.Results, alone)
	alone.Median, alone.Samples = 20, []report.Sample{{Value: 20}}
	b.Results = append(b.Results, alone, report.Result{Scenario: "c2c", Workload: "rr", Family: 6, CPUs: 2, Target: "vethway", Median: 1})
	a.Machine.Kernel, b.Machine.Kernel = "6.1", "6.18"
	b.Machine.Versions = map[string]string{"nft": "1.0"}
	c := Runs(a, b, "iptables")
	if got := c.Cells[1]; got.Verdict != NotJudged || got.P != nil || got.A.Median != 300 || got.B.Median != 20 {
		t.Errorf("%+v", got)
	}
	var text bytes.Buffer
	if err := c.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"publish, 10000 ports", "300 ms", "20.0 ms", "-93.3 %", "no iptables in the same rounds",
		"2 cells: 0 faster, 0 slower, 1 without a difference shown, 1 not judged.", "Differs: kernel: 6.1; 6.18", "Differs: nft: none; 1.0",
		"In A alone: 1, the first: published w1 ipv4 on 1 CPUs by vethway", "In B alone: 1, the first: c2c rr ipv6 on 2 CPUs by vethway",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &text)
		}
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
	if c := Runs(new(report.Report), new(report.Report), "iptables"); len(c.Cells) != 0 {
		t.Errorf("of nothing: %+v", c)
	}
}
