// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/size"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// saved writes a small run to a file: a cell with a baseline and vethway, each with the given samples.
func saved(t *testing.T, iptables, vethway []float64) string {
	t.Helper()
	result := func(target string, values []float64) report.Result {
		r := report.Result{Scenario: "published", Workload: "rr", Family: 4, CPUs: 1, Target: target, Unit: "transactions/s"}
		for _, v := range values {
			r.Samples = append(r.Samples, report.Sample{Value: v, Seconds: 1})
		}
		return r
	}
	rep := &report.Report{Results: []report.Result{result("iptables", iptables), result("vethway", vethway)}}
	report.Summarize(rep.Results)
	file := filepath.Join(t.TempDir(), "result.json")
	if err := rep.Save(file); err != nil {
		t.Fatal(err)
	}
	return file
}

func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	io, out, err := streams.Test()
	code = Main(args, io)
	return out.String(), err.String(), code
}

func TestHTML(t *testing.T) {
	in, dir := saved(t, []float64{100, 100}, []float64{140, 150}), t.TempDir()
	sizes := filepath.Join(dir, "size.json")
	published := &size.Report{Results: []size.Result{{Name: "publish", Count: 10000, Unit: "ms", Median: 17, Min: 16, Max: 18}}}
	if err := published.Save(sizes); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "report.html")
	if _, stderr, code := command(t, "html", "--in", in, "--size", sizes, "--out", out); code != 0 {
		t.Fatal(stderr)
	}
	page, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1.45 (1.40–1.50)", "✓ met", "17.0 ms", "Publishing", "request and response of one byte"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestSVG(t *testing.T) {
	stdout, stderr, code := command(t, "svg", "--in", saved(t, []float64{100, 100}, []float64{140, 150}))
	if code != 0 || !strings.Contains(stdout, ">1.45<") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	empty := filepath.Join(t.TempDir(), "empty.json")
	if err := new(report.Report).Save(empty); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := command(t, "svg", "--in", empty); code == 0 || !strings.Contains(stderr, "no ratios") {
		t.Errorf("a chart of nothing: exit code %d, %s", code, stderr)
	}
}
