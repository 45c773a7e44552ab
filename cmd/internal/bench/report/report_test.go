// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

func example() *Report {
	cell := func(workload, unit string, iptables, vethway []Sample) []Result {
		results := []Result{
			{Scenario: "published", Workload: workload, Family: 4, CPUs: 1, Target: "iptables", Unit: unit, Samples: iptables},
			{Scenario: "published", Workload: workload, Family: 4, CPUs: 1, Target: "vethway", Unit: unit, Samples: vethway},
		}
		Summarize(results)
		return results
	}
	r := &Report{Machine: Machine{
		Kernel: "6.18", CPU: "Some CPU", Cores: 2, Time: "2026-01-01T00:00:00Z", Settings: Settings{Rounds: 3},
		Targets:     map[string]Setting{"iptables": {Proof: "12 packets"}, "vethway": {Proof: "3 flows"}},
		Differences: []string{"vethway: mtu 9000 (others 1500)"},
	}}
	r.Results = append(r.Results, cell("stream-in", "Gbit/s",
		[]Sample{{Value: 10}, {Value: 5}, {Value: 10}}, []Sample{{Value: 15}, {Value: 7}, {Value: 16}})...)
	r.Results = append(r.Results, cell("rr", "transactions/s",
		[]Sample{{Value: 1000, P50: 20}, {Value: 1000, P50: 20}, {Error: "refused"}},
		[]Sample{{Value: 2000, P50: 10}, {Value: 2200, P50: 12}, {Value: 9000, P50: 11}})...)
	return r
}

func TestSummarize(t *testing.T) {
	results := example().Results
	for i, want := range []Result{
		{Median: 10, Min: 5, Max: 10, Ratio: map[string]float64{"vethway": 10. / 15}},
		{Median: 15, Min: 7, Max: 16, Ratio: map[string]float64{"iptables": 1.5}},
		{Median: 1000, Min: 1000, Max: 1000, Ratio: map[string]float64{"vethway": (1000./2000 + 1000./2200) / 2}},
		{Median: 2200, Min: 2000, Max: 9000, Ratio: map[string]float64{"iptables": 2.1}},
	} {
		got := results[i]
		if got.Median != want.Median || got.Min != want.Min || got.Max != want.Max || !maps.Equal(got.Ratio, want.Ratio) {
			t.Errorf("result %d: %+v, want %+v", i, got, want)
		}
	}
}

// What a result says by itself: the histogram of all samples, and what an event costs.
func TestSummarizeOne(t *testing.T) {
	samples := []Sample{
		{Value: 1000, Seconds: 1, OwnSeconds: 0.5, Latency: []stats.Bucket{{From: 1024, Count: 99}}},
		{Value: 1000, Seconds: 2, OwnSeconds: 1, Latency: []stats.Bucket{{From: 1024, Count: 1}, {From: 65536, Count: 1}}},
		{Error: "refused"},
	}
	r := []Result{{Unit: "transactions/s", Samples: samples}}
	Summarize(r)
	want := []stats.Bucket{{From: 1024, Count: 100}, {From: 65536, Count: 1}}
	if got := r[0]; !slices.Equal(got.Latency, want) || got.P50 != 1.024 || got.P999 != 65.536 || got.Cost != 500 || got.CostUnit != "us" {
		t.Errorf("%+v", got)
	}
	r = []Result{{Unit: "Gbit/s", Samples: []Sample{{Value: 16, Seconds: 1, OwnSeconds: 1}}}}
	if Summarize(r); r[0].Cost != 0.5 || r[0].CostUnit != "s/GB" {
		t.Errorf("%+v", r[0])
	}
}

// Whatever other programs take of the CPU, what a second of CPU time carries stays the same.
func TestEfficiency(t *testing.T) {
	r := []Result{
		{Target: "a", CPUs: 1, Samples: []Sample{{Value: 50, Seconds: 1, OwnSeconds: 0.5}, {Value: 100, Seconds: 1, OwnSeconds: 1}}},
		{Target: "b", CPUs: 1, Samples: []Sample{{Value: 50, Seconds: 1, OwnSeconds: 1}, {Value: 10, Seconds: 1, OwnSeconds: 0.2}}},
	}
	Summarize(r)
	if got := r[0].Efficiency["b"]; got.Median != 2 || got.Rounds != 2 || r[0].Ratio["b"] != 5.5 {
		t.Errorf("efficiency %+v, ratio %v", got, r[0].Ratio)
	}
	if r[0].Share != 0.75 || r[1].Share != 0.6 {
		t.Errorf("shares %v and %v", r[0].Share, r[1].Share)
	}
}

// What was written is read as it was.
func TestWriteAndLoad(t *testing.T) {
	r := example()
	r.Results[0].Axis, r.Results[0].X = "ports", 1000
	r.Goals = []Goal{{Group: "g", Name: "n", Want: 1.4, State: Missed}}
	r.CrossChecks = []CrossCheck{{By: "iperf3", Own: []float64{1}, Theirs: []float64{2}}}
	path := filepath.Join(t.TempDir(), "report.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v\nwant %+v", got, r)
	}
}

func TestFailures(t *testing.T) {
	results := example().Results
	if err := Failures(results); err != nil {
		t.Errorf("one failed sample of three fails the run: %v", err)
	}
	results[2].Samples = []Sample{{Error: "refused"}, {Error: "timed out"}}
	err := Failures(results)
	if want := "published rr ipv4 through iptables: every sample failed, the last by: timed out"; err == nil || err.Error() != want {
		t.Errorf("Failures = %v, want %q", err, want)
	}
}

func TestTheShapeOfTheJSON(t *testing.T) {
	var out bytes.Buffer
	if err := example().Write(&out); err != nil {
		t.Fatal(err)
	}
	var shape struct {
		Machine map[string]any   `json:"machine"`
		Results []map[string]any `json:"results"`
	}
	if err := json.Unmarshal(out.Bytes(), &shape); err != nil {
		t.Fatal(err)
	}
	want := []string{"cpu_share", "cpus", "family", "max", "median", "min", "ratio", "samples", "scenario", "spread", "target", "unit", "workload"}
	if got := slices.Sorted(maps.Keys(shape.Results[0])); !slices.Equal(got, want) {
		t.Errorf("a result has %v, want %v", got, want)
	}
}

func TestText(t *testing.T) {
	var out bytes.Buffer
	if err := example().WriteText(&out, "iptables"); err != nil {
		t.Fatal(err)
	}
	const want = `SCENARIO   WORKLOAD   FAMILY  CPUS  UNIT            IPTABLES  VETHWAY
published  stream-in  ipv4    1     Gbit/s          10.0      15.0 1.50x
published  rr         ipv4    1     transactions/s  1000      2200 2.10x

Medians of 3 rounds, and the median of the ratios to iptables within the rounds.
Linux 6.18, Some CPU, 2 cores, 2026-01-01T00:00:00Z.
iptables: 12 packets
vethway: 3 flows
not as the others: veths of vethway: mtu 9000 (others 1500)
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestWide(t *testing.T) {
	r := &Report{Results: []Result{
		{Scenario: "c2c", Workload: "rr", Family: 6, CPUs: 2, Target: "vethway", Unit: "transactions/s", Median: 5000, Min: 4000,
			Max: 6000, Ratio: map[string]float64{"iptables": 1.4}, Samples: []Sample{
				{Value: 5000, Seconds: 2, OwnSeconds: 1, P50: 90, P99: 200}, {Error: "refused"},
			}, Cost: 100, CostUnit: "us"},
		{Scenario: "c2c", Workload: "stream-in", Family: 4, CPUs: 1, Target: "vethway", Unit: "Gbit/s", Median: 16, Min: 16,
			Max: 16, Samples: []Sample{{Value: 16, Seconds: 1, OwnSeconds: 1}}, Cost: 0.5, CostUnit: "s/GB"},
		{Scenario: "c2c", Workload: "udp", Family: 4, CPUs: 1, Target: "vethway", Unit: "packets/s", Samples: []Sample{{Error: "refused"}}},
	}}
	var out bytes.Buffer
	if err := r.Wide("iptables").WriteTSV(&out); err != nil {
		t.Fatal(err)
	}
	const want = "c2c\trr\tipv6\t2\tvethway\t5000\t4000\t6000\ttransactions/s\t1.400\t1\t100 us\t90.0\t200\t\n" +
		"c2c\tstream-in\tipv4\t1\tvethway\t16.0\t16.0\t16.0\tGbit/s\t\t0\t0.50 s/GB\t\t\t\n" +
		"c2c\tudp\tipv4\t1\tvethway\t0.00\t0.00\t0.00\tpackets/s\t\t1\t\t\t\t\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestCPUShare(t *testing.T) {
	for name, tc := range map[string]struct {
		samples []Sample
		want    float64
	}{
		"nothing measured": {nil, 1},
		"alone":            {[]Sample{{Seconds: 1, OwnSeconds: 1}, {Seconds: 1, OwnSeconds: 1}}, 1},
		"half of it":       {[]Sample{{Seconds: 1, OwnSeconds: 0.4}, {Seconds: 1, OwnSeconds: 0.6}}, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := CPUShare([]Result{{Samples: tc.samples}}); got != tc.want {
				t.Errorf("CPUShare = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	r := example()
	r.Results = append(r.Results,
		Result{Scenario: "published", Workload: "crr", Family: 4, CPUs: 1, Axis: "ports", X: 100, Target: "iptables", Median: 5},
		Result{Scenario: "c2c", Workload: "program", Family: 4, CPUs: 1, Target: "vethway", Median: 60, LowerIsBetter: true})
	table := r.Markdown("iptables")
	const wantTable = `| published, ipv4, one CPU | iptables | vethway |
|---|---:|---:|
| stream-in | 10.0 Gbit/s | 1.50 |
| rr | 1000 transactions/s | 2.10 |

Medians of 3 rounds, interleaved; the ratio to iptables is the median of the ratios within the rounds. Linux 6.18, Some CPU, 2 cores, 2026-01-01T00:00:00Z.
`
	if table != wantTable {
		t.Errorf("Markdown:\n%s\nwant:\n%s", table, wantTable)
	}
	filled := "before\n" + Begin + "\n" + table + End + "\nafter\n"
	for name, tc := range map[string]struct {
		text, want, err string
	}{
		"empty":          {text: "before\n" + Begin + "\n" + End + "\nafter\n", want: filled},
		"filled":         {text: filled, want: filled},
		"old":            {text: "before\n" + Begin + "\nold\n| table |\n" + End + "\nafter\n", want: filled},
		"no markers":     {text: "before\n", err: Begin + " is missing"},
		"no end":         {text: "before\n" + Begin + "\n", err: End + " is missing after " + Begin},
		"end goes first": {text: End + "\n" + Begin + "\n", err: End + " is missing after " + Begin},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Update(tc.text, "iptables")
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("Update = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 9.876: "9.88", 24.71: "24.7", 170.4: "170", 17012.4: "17012"} {
		if got := Figure(v); got != want {
			t.Errorf("Figure(%v) = %q, want %q", v, got, want)
		}
	}
}
