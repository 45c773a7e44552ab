// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// The run starts its own executable again to make the traffic, and a test starts a run: here that is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{trafficCommand, rivals.ProxyCommand, "run"}, os.Args[1]) {
		os.Exit(Main(os.Args[1:], streams.System()))
	}
	os.Exit(m.Run())
}

func noLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := netlab.Leaks(); err != nil {
			t.Error(err)
		}
	})
}

func TestRunFromEndToEnd(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "iptables-nft", "nsenter")
	noLeaks(t)
	file := filepath.Join(t.TempDir(), "result.json")
	io, out, stderr := streams.Test()
	code := Main([]string{
		"run", "--target", "direct,iptables", "--rounds", "1", "--sample", "50ms", "--warmup", "10ms",
		"--family", "4,6", "-o", "json", "--out", file, "--docker-proxy", "own",
	}, io)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var printed report.Report
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		t.Fatalf("the output is not JSON: %v\n%s", err, out)
	}
	const scenarios, workloads, families, targets = 3, 7, 2, 2
	if got, want := len(printed.Results), scenarios*workloads*families*targets; got != want {
		t.Errorf("%d results, want %d", got, want)
	}
	for _, result := range printed.Results {
		if result.Proof == "" && !slices.ContainsFunc(result.Samples, func(s report.Sample) bool { return s.Error != "" }) {
			t.Errorf("%s %s of %s is not proven", result.Scenario, result.Workload, result.Target)
		}
		if result.Median <= 0 || len(result.Samples) != 1 || len(result.Ratio) != 1 {
			t.Errorf("an implausible result: %+v", result)
		}
	}
	for _, name := range []string{"direct", "iptables"} {
		if setting := printed.Machine.Targets[name]; setting.Proof == "" || len(setting.Devices) == 0 {
			t.Errorf("target %s is not described: %+v", name, setting)
		}
	}
	saved, err := report.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(saved.Results) != len(printed.Results) {
		t.Errorf("%d results saved, %d printed", len(saved.Results), len(printed.Results))
	}
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("# x\n"+report.Begin+"\n"+report.End+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := Main([]string{"readme", "--in", file, "--readme", readme}, io); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| published, ipv4, one CPU | iptables | direct |", "| c2c, ipv6, one CPU | iptables | direct |", "| stream-in | "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the README lacks %q:\n%s", want, text)
		}
	}
}

func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "iptables-nft", "nsenter")
	noLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	io, out, _ := streams.Test()
	cmd := NewCommand(io)
	cmd.SetArgs([]string{"run", "--target", "direct,iptables", "--rounds", "100", "--docker-proxy", "own"})
	started := time.Now()
	if err := cmd.ExecuteContext(ctx); err == nil {
		t.Error("an interrupted run ended well")
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("the run went on for %v", took)
	}
	if out.Len() > 0 {
		t.Errorf("an interrupted run printed a report:\n%s", out)
	}
}

func TestBadArgumentsAreNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"scenario": {[]string{"run", "--scenario", "nowhere"}, `no scenario "nowhere": use published, masquerade, c2c`},
		"workload": {[]string{"run", "--workload", "idle"}, `no workload "idle": ` + "`vethway-bench list`"},
		"target":   {[]string{"run", "--target", "magic"}, `no target "magic": ` + "`vethway-bench list`"},
		"no other": {[]string{"run", "--target", "vethway-other"}, "target vethway-other: --other has to say which vethwayd that is"},
		"other":    {[]string{"run", "--other", "/nowhere"}, "--other: stat /nowhere: no such file or directory"},
		"family":   {[]string{"run", "--family", "5"}, "no address family 5: use 4 or 6"},
		"format":   {[]string{"run", "-o", "xml"}, `no output format "xml": use table, wide or json`},
		"both":     {[]string{"run", "--quick", "--full"}, "none of the others can be"},
		"command":  {[]string{"walk"}, `unknown command "walk"`},
		"no file":  {[]string{"readme"}, "at least one of the flags in the group [in size] is required"},
	} {
		t.Run(name, func(t *testing.T) {
			io, _, stderr := streams.Test()
			if code := Main(tc.args, io); code == 0 || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit code %d and %q, want %q", code, stderr, tc.want)
			}
		})
	}
}

func TestListNamesEverything(t *testing.T) {
	io, out, _ := streams.Test()
	if code := Main([]string{"list"}, io); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	var kinds []string
	for line := range strings.Lines(out.String()) {
		fields := strings.Split(line, "\t")
		kinds = append(kinds, fields[0]+" "+fields[1])
	}
	for _, want := range []string{"scenario published", "scenario c2c", "workload crr", "target direct", "target iptables"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("no %s in the list:\n%s", want, out)
		}
	}
}
