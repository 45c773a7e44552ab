// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
)

var (
	report  = flag.Bool("report", false, "run all targets, and write report.json and the table in README.md")
	only    = flag.String("only", "", "run the cases whose name matches this `pattern` only")
	targets = flag.String("targets", Vethway, "comma-separated `list` of targets to run: "+strings.Join(Targets(), ", "))
	atOnce  = flag.Int("labs", 5, "`number` of labs side by side; fewer for a machine that is busy")
	program = flag.String("program", "", "`path` of vethwayd; empty: it is built")
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(netlab.CheckLeaks(), hostlab.Leaks()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestConformance runs vethway through all cases, and with -report its rivals too.
func TestConformance(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter", "nft", "ethtool", "bpftool", "conntrack")
	cfg := Config{Program: *program, AtOnce: max(1, *atOnce)}
	var err error
	if cfg.Program == "" {
		if cfg.Program, err = hostlab.Build(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	if *only != "" {
		pattern := regexp.MustCompile(*only)
		cfg.Want = func(c Case) bool { return pattern.MatchString(c.String()) }
	}
	waiting := waiting()
	cfg.Hurry = func(c Case, target, family string) bool {
		return target == Vethway && waiting[c.String()+"/"+family] != ""
	}
	list := strings.Split(*targets, ",")
	if *report {
		list = Targets()
	}
	results := runTargets(t, cfg, list)
	for _, r := range results {
		if r.Result != Pass {
			t.Logf("%-8s %s %s %-4s %s: %s", r.Target, r.ID, r.Family, r.Result, r.Case, r.Note)
		}
	}
	t.Logf("%d results", len(results))
	// Whatever the verdict: what fails is to be seen. What could not be asked says nothing.
	if *report && !t.Failed() {
		if err := WriteReport("report.json", "README.md", results, summaries()); err != nil {
			t.Error(err)
		}
	}
	judge(t, results)
}

// runTargets runs them side by side: most of the time each waits for silence.
func runTargets(t *testing.T, cfg Config, list []string) []Result {
	found := make([][]Result, len(list))
	var all sync.WaitGroup
	for i, target := range list {
		all.Go(func() {
			var err error
			if found[i], err = Run(t.Context(), target, cfg); err != nil {
				t.Errorf("%s: %v", target, err)
			}
		})
	}
	all.Wait()
	var results []Result
	for _, r := range found {
		results = append(results, r...)
	}
	return results
}

// waiting is the table of pending cases by case and family.
func waiting() map[string]string {
	all := map[string]string{}
	for _, p := range pending() {
		for _, f := range p.families() {
			all[p.Case+"/"+f] = p.Why
		}
	}
	return all
}

// judge holds vethway's results against the table of what is still pending. Rows without a pending case are what the
// compliance report may count.
func judge(t *testing.T, results []Result) {
	waiting := waiting()
	open := map[string]bool{}
	for _, r := range results {
		if r.Target != Vethway {
			continue
		}
		key := r.ID + " " + r.Case + "/" + r.Family
		_, isPending := waiting[key]
		delete(waiting, key)
		switch {
		case r.Result == Fail && !isPending:
			t.Errorf("%s: %s", key, r.Note)
		case r.Result == Pass && isPending:
			t.Errorf("%s passes: take it off the table of pending cases", key)
		}
		open[r.ID+r.Family] = open[r.ID+r.Family] || isPending
	}
	if *only != "" {
		return
	}
	for key := range waiting {
		if !t.Failed() {
			t.Errorf("no case %s, which is in the table of pending cases", key)
		}
	}
	cover(t, results, open)
}

// cover declares the behaviours of which nothing is pending.
func cover(t *testing.T, results []Result, open map[string]bool) {
	for _, row := range Rows(results) {
		if row.Target != Vethway || open[row.ID+row.Family] || row.Result == NotApplicable {
			continue
		}
		t.Run(row.ID+"/"+row.Family, func(t *testing.T) {
			behaviour.Covers(t, row.ID, row.Family)
			if row.Result != Pass {
				t.Error(row.Note)
			}
		})
	}
}

func summaries() map[string]string {
	all := map[string]string{}
	for _, b := range behaviour.All() {
		all[b.ID] = b.Summary
	}
	return all
}
