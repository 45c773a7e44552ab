// SPDX-License-Identifier: Apache-2.0

package run

import (
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
)

// Who forgot the flows has no figure for so many; who keeps none has, and who stands as at the first point.
func TestWhoForgetsHasNoFigure(t *testing.T) {
	s := Series{Axis: Flows, Points: []int{1, 1000}, Beside: "full"}
	var sites []built
	var results []report.Result
	for name, flows := range map[string]string{"full": "990", "emptied": "980", "stateless": "", "full@1": "1"} {
		maker := brokenMaker(name, flows)
		sites = append(sites, built{maker, brokenSite{name: name, part: flows}})
		results = append(results, report.Result{Target: name, Samples: []report.Sample{{Value: 7}}})
		if !strings.Contains(name, "@") {
			s.Targets = append(s.Targets, maker)
		}
	}
	r := &runner{}
	err := r.kept(t.Context(), sites, s, 1000, results)
	if err == nil || err.Error() != "emptied kept 980 of 1000 flows while it was measured" {
		t.Errorf("kept: %v", err)
	}
	for _, got := range results {
		if bad := got.Samples[0].Error != ""; bad != (got.Target == "emptied") || bad != (got.Median == 0) {
			t.Errorf("%s: %+v", got.Target, got)
		}
	}
}

// What is divided takes part in the same rounds, as it was at the first point, and the last point has more of them.
func TestBeside(t *testing.T) {
	s := Series{
		Axis: Flows, Points: []int{1, 10, 500000}, Targets: []target.Maker{{Name: "a"}, {Name: "b"}}, Beside: "b", Rounds: 5, LastRounds: 15,
	}
	if m, ok := s.beside(1); ok {
		t.Errorf("beside the first point stands %s", m.Name)
	}
	if m, ok := s.beside(10); !ok || m.Name != "b@1" || s.place(built{maker: m}, 10) != 1 || s.place(built{maker: s.Targets[1]}, 10) != 10 {
		t.Errorf("beside the second point stands %q, %v", m.Name, ok)
	}
	if got := []int{s.rounds(1), s.rounds(10), s.rounds(500000)}; got[0] != 5 || got[1] != 5 || got[2] != 15 {
		t.Errorf("rounds %v", got)
	}
	// A table that is three quarters full is emptied early.
	if o, err := s.options(target.Options{}, 500000); err != nil || o.Flows*3/4 < 500000 {
		t.Errorf("room for %d flows, %v", o.Flows, err)
	}
	if o, err := s.options(target.Options{}, 10); err != nil || o.Flows != 0 {
		t.Errorf("room for %d flows, %v", o.Flows, err)
	}
	s.Beside = "c"
	if m, ok := s.beside(10); ok {
		t.Errorf("%s takes part, which is not there", m.Name)
	}
}
