// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

var errBroken = errors.New("broken on purpose")

// brokenSite is one of which a part does not work: "path", "counters", "forget", "proof", or nothing at all.
type brokenSite struct {
	target.Site
	name, part string
	published  *[]bool // what was asked of it
}

func (s brokenSite) fails(part string) error {
	if s.part == part {
		return errBroken
	}
	return nil
}

func (s brokenSite) Name() string { return s.name }

func (s brokenSite) Cgroup() string { return "" }

func (s brokenSite) Datagrams(_ context.Context, on bool) error {
	if s.published != nil {
		*s.published = append(*s.published, on)
	}
	return s.fails("datagrams")
}

func (s brokenSite) Path(target.Scenario, string, rivals.Family) (target.Path, error) {
	return target.Path{Client: &netlab.Namespace{}, Server: &netlab.Namespace{}}, s.fails("path")
}

func (s brokenSite) Pin([]int) error { return nil }

func (s brokenSite) Forget(context.Context) error { return s.fails("forget") }

func (s brokenSite) Counters(context.Context) (rivals.Counters, error) {
	return rivals.Counters{}, s.fails("counters")
}

func (s brokenSite) Prove(target.Scenario, rivals.Family, rivals.Counters, rivals.Counters) (string, error) {
	return "shown", s.fails("proof")
}

// Flows are as many as the name says.
func (s brokenSite) Flows(context.Context) (int, bool, error) {
	n, err := strconv.Atoi(s.part)
	return n, err == nil, nil
}

func (s brokenSite) Close() error { return nil }

func brokenMaker(name, part string) target.Maker {
	return target.Maker{Name: name, Make: func(context.Context, target.Options) (target.Site, error) {
		switch part {
		case "make":
			return nil, errBroken
		case "unavailable":
			return nil, target.ErrUnavailable
		}
		return brokenSite{name: name, part: part}, nil
	}}
}

func names(turns []*turn) (list []string) {
	for _, t := range turns {
		list = append(list, t.result.Target)
	}
	return list
}

// What fails for one target leaves the others theirs, and is told.
func TestOneTargetThatFails(t *testing.T) {
	r := &runner{Config: Config{Log: slog.New(slog.DiscardHandler)}}
	sites, err := r.build(t.Context(), []target.Maker{
		brokenMaker("unmade", "make"), brokenMaker("absent", "unavailable"), brokenMaker("pathless", "path"), brokenMaker("blind", "counters"),
		brokenMaker("elsewhere", "proof"), brokenMaker("good", ""),
	}, target.Options{})
	if len(sites) != 4 || !errors.Is(err, errBroken) || errors.Is(err, target.ErrUnavailable) {
		t.Fatalf("%d sites, %v", len(sites), err)
	}
	w, err := workload.Choose([]string{"rr"})
	if err != nil {
		t.Fatal(err)
	}
	c := Cell{Scenario: target.Published, Workload: w[0], Family: rivals.IPv4, CPUs: 1}
	turns, err := r.turns(t.Context(), c, sites)
	if got, want := names(turns), []string{"blind", "elsewhere", "good"}; !slices.Equal(got, want) || !errors.Is(err, errBroken) ||
		!strings.Contains(err.Error(), "pathless") {
		t.Fatalf("%v, %v, want %v", got, err, want)
	}
	witness(t.Context(), turns)
	if s, err := r.take(t.Context(), c, turns[0]); !errors.Is(err, errBroken) {
		t.Errorf("who cannot count has a sample: %+v, %v", s, err)
	}
	var results []report.Result
	for _, t := range turns {
		t.result.Samples = []report.Sample{{Value: 1, Seconds: 1}}
	}
	turns[0].result.Samples[0].Error = turns[0].unfit.Error()
	r.prove(t.Context(), c, turns)
	for _, t := range turns {
		results = append(results, t.result)
	}
	report.Summarize(results)
	if results[0].Median != 0 || results[1].Median != 0 || results[2].Median != 1 || results[2].Proof != "shown" {
		t.Errorf("%+v", results)
	}
	for _, want := range []string{"blind", "elsewhere: every sample failed, the last by: no proof of the way"} {
		if err := report.Failures(results); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestEach(t *testing.T) {
	sites := []built{{maker: brokenMaker("a", "")}, {maker: brokenMaker("b", "")}}
	good, err := each(sites, func(b built) error {
		if b.maker.Name == "a" {
			return errBroken
		}
		return nil
	})
	if len(good) != 1 || good[0].maker.Name != "b" || !errors.Is(err, errBroken) {
		t.Errorf("%+v, %v", good, err)
	}
}

// Who keeps all flows for ever has none at the beginning of a sample: a connection of before would spare the next one's inserts.
func TestWhoForgetsByOrder(t *testing.T) {
	r := &runner{Config: Config{Log: slog.New(slog.DiscardHandler)}}
	w, err := workload.Choose([]string{"crr"})
	if err != nil {
		t.Fatal(err)
	}
	c := Cell{Scenario: target.Published, Workload: w[0], Family: rivals.IPv4, CPUs: 1}
	// Forgetting fails, so that it is seen to be asked for.
	limit := brokenMaker("limit", "forget")
	limit.Forgets = true
	sites, err := r.build(t.Context(), []target.Maker{limit}, target.Options{})
	if err != nil {
		t.Fatal(err)
	}
	turns, err := r.turns(t.Context(), c, sites)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.take(t.Context(), c, turns[0]); !errors.Is(err, errBroken) {
		t.Errorf("a sample with flows of before: %v", err)
	}
	for _, m := range target.All() {
		if m.Forgets != strings.HasPrefix(m.Name, "least-nat") {
			t.Errorf("target %s forgets %v", m.Name, m.Forgets)
		}
	}
}

// Where others stand beside it, a target has UDP published for its own samples alone, whatever becomes of these.
func TestDatagramsForOwnSamples(t *testing.T) {
	for _, tc := range []struct {
		scenario target.Scenario
		workload string
		alone    bool
		want     []bool
	}{
		{target.Published, "udp-new", false, []bool{false, true, false, true}},
		{target.Published, "udp-new", true, nil},
		{target.Masquerade, "udp-new", false, []bool{false, true}},
		{target.Published, "crr", false, []bool{false, true}},
	} {
		var asked []bool
		site := brokenSite{name: "one", part: "forget", published: &asked}
		r := &runner{Config: Config{Log: slog.New(slog.DiscardHandler)}, sites: []built{{target.Maker{Name: "one", Forgets: true}, site}}}
		workloads, err := workload.Choose([]string{tc.workload})
		if err != nil {
			t.Fatal(err)
		}
		c := Cell{Scenario: tc.scenario, Workload: workloads[0], Family: rivals.IPv4, CPUs: 1}
		if !tc.alone {
			if err := r.takeTurns(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		turn, err := r.turn(t.Context(), c, r.sites[0], []int{0})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.take(t.Context(), c, turn); !errors.Is(err, errBroken) {
			t.Errorf("%s %s: %v", tc.scenario, tc.workload, err)
		}
		if !tc.alone {
			if err := r.takeTurns(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(asked, tc.want) {
			t.Errorf("%s %s: asked to publish UDP %v, want %v", tc.scenario, tc.workload, asked, tc.want)
		}
	}
}
