// SPDX-License-Identifier: Apache-2.0

package run

import (
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

func resultOf(target string, values ...float64) report.Result {
	r := report.Result{Target: target, CPUs: 1}
	for _, v := range values {
		r.Samples = append(r.Samples, report.Sample{Value: v, Seconds: 1})
	}
	return r
}

// Rounds of several builds are paired as they were taken, whoever was missing.
func TestMerge(t *testing.T) {
	m := merger{cells: make([][]report.Result, 2)}
	m.add(0, []report.Result{resultOf("a", 2, 4), resultOf("b", 1, 2), resultOf("c", 9, 9)})
	m.done = 2
	m.add(0, []report.Result{resultOf("b", 3), resultOf("a", 9), resultOf("d", 5)})
	m.done = 3
	m.add(0, []report.Result{resultOf("a", 8), resultOf("c", 4)})
	good := func(r report.Result) (n int) {
		for _, s := range r.Samples {
			if s.Error == "" {
				n++
			}
		}
		return n
	}
	byName := map[string]report.Result{}
	for _, r := range m.results() {
		byName[r.Target] = r
		if len(r.Samples) != 4 {
			t.Errorf("%s has %d samples, want one for each round: %+v", r.Target, len(r.Samples), r.Samples)
		}
	}
	for target, want := range map[string]int{"a": 4, "b": 3, "c": 3, "d": 1} {
		if got := good(byName[target]); got != want {
			t.Errorf("%s has %d good samples, want %d", target, got, want)
		}
	}
	for _, tc := range []struct {
		of, by string
		want   float64
	}{{"a", "b", 2}, {"c", "a", 2.25}, {"d", "b", 5. / 3}} {
		if got := byName[tc.of].Ratio[tc.by]; got != tc.want {
			t.Errorf("%s is %v of %s, want %v", tc.of, got, tc.by, tc.want)
		}
	}
	if _, has := byName["d"].Ratio["c"]; has {
		t.Error("d and c were in no round together, and have a ratio")
	}
	if err := m.failures(); err != nil {
		t.Error(err)
	}
}

func TestRoundsOfABuild(t *testing.T) {
	for _, tc := range []struct {
		rounds, builds int
		want           []int
	}{{11, 3, []int{4, 4, 3}}, {5, 1, []int{5}}, {3, 3, []int{1, 1, 1}}} {
		p := Plan{Rounds: tc.rounds, Builds: tc.builds}
		for build, want := range tc.want {
			if got := p.part(build); got != want {
				t.Errorf("build %d of %d has %d of %d rounds, want %d", build, tc.builds, got, tc.rounds, want)
			}
		}
	}
}
