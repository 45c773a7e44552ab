// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/goal"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/rivals"
)

// small is a plan with everything that a preset has, at the least size.
func small(t *testing.T) run.Plan {
	t.Helper()
	workloads, err := workload.Choose([]string{"stream-in", "crr", "udp"})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := target.Choose([]string{"vethway", "iptables", "nftables"})
	if err != nil {
		t.Fatal(err)
	}
	cells := run.Cross([]target.Scenario{target.Published}, workloads, []rivals.Family{rivals.IPv4}, []int{1})
	plan := run.Plan{
		Cells: cells[:1], Targets: targets, Rounds: 2, Builds: 2, Sample: 30 * time.Millisecond, Warmup: 5 * time.Millisecond,
		Programs: true, CrossCheck: true,
	}
	for _, axis := range run.Axes() {
		s := run.Series{Axis: axis, Points: []int{1, 40}, Cells: cells[1:], Targets: targets, Rounds: 1, Most: map[string]int{"nftables": 1}}
		if axis == run.Ports || axis == run.Flows {
			s.Beside = "vethway"
		}
		if axis == run.Containers {
			s.Points, s.Creates = []int{2, 3}, 1
		}
		plan.Series = append(plan.Series, s)
	}
	return plan
}

func TestEverythingOfAPreset(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "iptables-nft", "nft", "nsenter", "iperf3", "taskset")
	noLeaks(t)
	dir := t.TempDir()
	if _, err := hostlab.Build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	generator, err := traffic.Start(t.Context(), traffic.Config{Command: []string{os.Args[0], trafficCommand}, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer generator.Close()
	steps, all := 0, 0
	rep, err := run.Run(t.Context(), run.Config{
		Plan: small(t), Generator: generator, Log: slog.New(slog.DiscardHandler),
		Progress: func(p run.Progress) { steps, all = p.Number, p.All },
	})
	if err != nil {
		t.Fatal(err)
	}
	if steps != all {
		t.Errorf("the run ended at step %d of %d", steps, all)
	}
	count := make(map[string]int)
	for _, r := range rep.Results {
		if r.Median <= 0 {
			t.Errorf("an implausible result: %+v", r)
		}
		count[strings.TrimSpace(r.Workload+" "+r.Axis)]++
	}
	// Three targets at the first point, two at the second, and vethway as it was at the first beside them over ports and flows; over
	// containers nftables has neither.
	want := map[string]int{
		"stream-in": 3, "program": 8, "program-hairpins": 2, "crr ports": 6, "udp ports": 6, "crr flows": 6, "udp flows": 6, "crr rules": 5, "udp rules": 5,
		"crr containers": 4, "udp containers": 4, "create containers": 4,
	}
	for name, n := range want {
		if count[name] != n {
			t.Errorf("%d results of %s, want %d", count[name], name, n)
		}
	}
	if len(rep.CrossChecks) != 3 || rep.CrossChecks[0].Ratio.Rounds == 0 {
		t.Errorf("cross-checks: %+v", rep.CrossChecks)
	}
	judged(t, rep)
}

// judged saves the report and has the command hold it against the goals.
func judged(t *testing.T, rep *report.Report) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	if err := rep.Save(file); err != nil {
		t.Fatal(err)
	}
	io, out, stderr := streams.Test()
	if code := Main([]string{"goals", "--in", file}, io); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"published, IPv4\t", "connections/s, most ports to one\t"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q:\n%s", want, out)
		}
	}
	for _, g := range goal.Judge(rep) {
		if g.Group == "programs, established flows" && g.State == report.Unmeasured {
			t.Errorf("%s is unmeasured: %s", g.Name, g.Note)
		}
	}
}
