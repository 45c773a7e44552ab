// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// example is a run as it comes: two targets and a baseline, curves, a failed sample, a figure that nobody else has.
func example() *report.Report {
	r := &report.Report{Machine: report.Machine{
		Time: "2026-01-01T00:00:00Z", Kernel: "6.18", CPU: "Some CPU", Cores: 2, Virtual: true, Load: "0.10",
		Versions: map[string]string{"nft": "nftables v1.0"}, Sysctls: map[string]string{"net.core.rmem_max": "1"},
		Settings: report.Settings{Rounds: 3, SampleSeconds: 0.3, WarmupSeconds: 0.1}, Differences: []string{"gso differs"},
		Targets: map[string]report.Setting{"vethway": {Proof: "3 flows <ours>", Devices: map[string]string{"host/eth0": "mtu 1500"}}},
	}}
	for _, scenario := range []string{"published", "masquerade", "c2c"} {
		for _, workload := range []string{"stream-in", "rr", "limit"} {
			r.Results = append(r.Results, measured(scenario, workload, "", 0)...)
		}
	}
	for _, ports := range []int{1, 1000, 65000} {
		r.Results = append(r.Results, measured("published", "crr", "ports", ports)...)
	}
	r.Results = append(r.Results, report.Result{Scenario: "published", Workload: "program", Family: 6, CPUs: 1, Target: "vethway",
		Unit: "ns", LowerIsBetter: true, Median: 84.4, Min: 84, Max: 85})
	r.Goals = []report.Goal{
		{Group: "one CPU", Name: "rr", Own: 200, Theirs: 100, Unit: "rr/s", Value: 2, Low: 1.9, High: 2.1, Want: 1.4, State: report.Met},
		{Group: "one CPU", Name: "crr", Want: 1.45, State: report.Unmeasured, Note: "no such result"},
		{Group: "publishing", Name: "all", Own: 25, Unit: "ms", Value: 25, Low: 19, High: 30, Want: 20, AtMost: true, State: report.Missed},
	}
	r.CrossChecks = []report.CrossCheck{{Scenario: "published", By: "iperf3", Ratio: stats.Spread([]float64{1})}}
	return r
}

func measured(scenario, workload, axis string, x int) []report.Result {
	var cell []report.Result
	for i, name := range []string{"vethway", "iptables", "direct"} {
		var samples []report.Sample
		for round := range 3 {
			h := new(stats.Histogram)
			for n := range 4000 {
				h.Record(time.Duration(20000 + 10*n + 1000*i))
			}
			samples = append(samples, report.Sample{
				Value: float64(1000 * (4 - i + round)), Seconds: 1, OwnSeconds: 0.5, Latency: h.Buckets(),
			})
		}
		if name == "direct" {
			samples[1] = report.Sample{Error: "connection refused"}
		}
		cell = append(cell, report.Result{
			Scenario: scenario, Workload: workload, Family: 4, CPUs: 1, Axis: axis, X: x, Target: name, Unit: "transactions/s", Samples: samples,
		})
	}
	report.Summarize(cell)
	return cell
}

func write(t *testing.T, r *report.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, r, "iptables", Term{"workload", "rr", "one byte & back"}, Term{"workload", "unheard", "of"}); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, out.String())
	for _, outside := range []string{"<script", "http://", "https://", "url(", "@import", "NaN", "Inf"} {
		if s := strings.ReplaceAll(out.String(), `xmlns="http://www.w3.org/2000/svg"`, ""); strings.Contains(s, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	return out.String()
}

// wellFormed reads the page as XML, which it is as well as HTML.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(page))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

func TestPage(t *testing.T) {
	got := write(t, example())
	for _, want := range []string{
		"Some CPU, 2 cores, virtual machine", "6.18", "nftables v1.0", "3 rounds, interleaved", "3 flows &lt;ours&gt;", "gso differs",
		"1 of 3 met, 1 missed, 0 missed at the limit of the kernel, 1 not measured", "✓ met", "✗ missed", "at most 20.0 ms", "no such result",
		"Published port: IPv4, one CPU for all", "Masquerade: IPv4, one CPU for all", "Container to container: IPv4, one CPU for all",
		"times iptables, same round", "latency, µs", "p99.9", "published ports", "10k", "84.4", "iperf3",
		`<abbr title="connection refused">failed</abbr>`, "prefers-color-scheme:dark", "one byte &amp; back", "Other programs used this machine",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(got, "unheard") {
		t.Error("the page explains what it does not show")
	}
	if n, want := strings.Count(got, "<figure>"), 3+9+1; n != want {
		t.Errorf("%d charts, want %d", n, want)
	}
}

// A run that was cut short makes a page too.
func TestPageOfLittle(t *testing.T) {
	if got := write(t, new(report.Report)); !strings.Contains(got, "holds no results") {
		t.Error("the page of nothing does not say so")
	}
	r := &report.Report{Results: []report.Result{
		{Target: "vethway", Unit: "Gbit/s", Samples: []report.Sample{{Error: "refused"}}},
		{Scenario: "x", Workload: "rr", Target: "iptables", Latency: []stats.Bucket{{From: 0, Count: 1}}},
		{Scenario: "x", Workload: "rr", Target: "iptables", Axis: "ports", Median: 3},
		{Scenario: "x", Workload: "rr", Target: "vethway", Axis: "ports"},
		{Scenario: "y", Workload: "rr", Target: "iptables", Median: 3},
		{Scenario: "y", Workload: "rr", Target: "vethway", Median: 3, Ratio: map[string]float64{"iptables": 1}},
	}}
	write(t, r)
	for n := range r.Results {
		write(t, &report.Report{Results: r.Results[n:]})
	}
}

func TestOverview(t *testing.T) {
	svg := Overview(example(), "iptables").SVG()
	wellFormed(t, svg)
	for _, want := range []string{"Docker&#39;s rules on iptables", "Published port", "Masquerade", "Container to container", ">rr<", ">stream-in<", "all that was seen", "Medians of 3 rounds", "Some CPU", ">rr: a byte there and back<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the chart lacks %q", want)
		}
	}
	if strings.Contains(svg, ">limit<") || strings.Contains(svg, ">crr<") {
		t.Error("the chart has what is no part of it")
	}
	if o := Overview(new(report.Report), "iptables"); len(o.Panels) != 0 {
		t.Errorf("nothing has panels: %v", o.Panels)
	}
}

// A percentile that a handful of events would decide is not drawn.
func TestPercentiles(t *testing.T) {
	for count, want := range map[uint64]int{0: 0, 5: 0, 6: 1, 300: 5, 3000: 7} {
		got := percentiles([]stats.Bucket{{From: 1000, Count: count}})
		if len(got) != want {
			t.Errorf("%d events have %d percentiles, want %d", count, len(got), want)
		}
	}
	if got, want := fmt.Sprintf("%.0f %.0f", rarity(50), rarity(99.9)), "2 1000"; got != want {
		t.Errorf("rarity %s, want %s", got, want)
	}
}
