// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// Report is the whole of one run.
type Report struct {
	Machine Machine  `json:"machine"`
	Results []Result `json:"results"`
	// CrossChecks are streams that another program measured too.
	CrossChecks []CrossCheck `json:"cross_checks,omitempty"`
	// Goals are what the project wants of the figures, judged by this run.
	Goals []Goal `json:"goals,omitempty"`
}

// Result is one target in one cell of the plan.
type Result struct {
	Scenario string `json:"scenario"`
	Workload string `json:"workload"`
	Family   int    `json:"family"`
	CPUs     int    `json:"cpus"`
	// Axis is what X counts, in a series of results that differ in it alone: "ports", "flows", "containers", "rules".
	Axis   string `json:"axis,omitempty"`
	X      int    `json:"x,omitempty"`
	Target string `json:"target"`
	Unit   string `json:"unit"`
	// LowerIsBetter is set for times; ratios are own figure by the baseline's all the same.
	LowerIsBetter bool     `json:"lower_is_better,omitempty"`
	Median        float64  `json:"median"`
	Min           float64  `json:"min"`
	Max           float64  `json:"max"`
	Samples       []Sample `json:"samples"`
	// Proof is what the target's counters showed of the way that the traffic took.
	Proof string `json:"proof,omitempty"`
	// Ratio is the median of the quotients of the rounds, by baseline; Spread tells how sure it is.
	Ratio  map[string]float64        `json:"ratio"`
	Spread map[string]stats.Interval `json:"spread,omitempty"`
	// Efficiency is the same ratio of what one second of CPU time carries: on one CPU it is that of the rates, but for what
	// other programs have taken of the CPU meanwhile.
	Efficiency map[string]stats.Interval `json:"efficiency,omitempty"`
	// Share is the part of the measured time that the traffic had a CPU for; only on one CPU does it say something.
	Share float64 `json:"cpu_share,omitempty"`
	// Cost is the CPU time, client and server included, that one event or one gigabyte took: the median of the samples.
	Cost     float64 `json:"cost,omitempty"`
	CostUnit string  `json:"cost_unit,omitempty"`
	// Latency is the histogram of all samples together, with its percentiles.
	Latency []stats.Bucket `json:"latency,omitempty"`
	P50     float64        `json:"p50_us,omitempty"`
	P99     float64        `json:"p99_us,omitempty"`
	P999    float64        `json:"p999_us,omitempty"`
}

// FirstName is what a target is called that takes part at a later point of an axis as it was at the first one, x.
func FirstName(target string, x int) string { return fmt.Sprintf("%s@%d", target, x) }

// Sample is one round of a result.
type Sample struct {
	Value float64 `json:"value"`
	// CPUSeconds is what the CPUs in use were busy for while the sample was counted, OwnSeconds the traffic generator's
	// part of it, softirqs on top of its threads included; zero where a process of the target's forwarded too.
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	OwnSeconds float64 `json:"own_cpu_seconds"`
	Lost       float64 `json:"lost,omitempty"`
	P50        float64 `json:"p50_us,omitempty"`
	P99        float64 `json:"p99_us,omitempty"`
	P999       float64 `json:"p999_us,omitempty"`
	// Error is why there is no value.
	Error string `json:"error,omitempty"`

	// Latency is on its way to the result's histogram, which keeps it.
	Latency []stats.Bucket `json:"-"`
}

// CrossCheck is a stream by this program's generator and by another's, in turn on the same path.
type CrossCheck struct {
	Scenario string `json:"scenario"`
	Workload string `json:"workload"`
	Family   int    `json:"family"`
	CPUs     int    `json:"cpus"`
	Target   string `json:"target"`
	Unit     string `json:"unit"`
	// By is the other program.
	By     string    `json:"by"`
	Own    []float64 `json:"own"`
	Theirs []float64 `json:"theirs"`
	// Ratio is theirs by ours, pair by pair.
	Ratio stats.Interval `json:"ratio"`
}

// Goal is one line of the table of targets.
type Goal struct {
	// Group is what the lines of a block have in common, Name the line.
	Group string `json:"group"`
	Name  string `json:"name"`
	// Own and Theirs are the two figures; Theirs is zero where the goal is a figure of our own.
	Own    float64 `json:"own"`
	Theirs float64 `json:"theirs,omitempty"`
	Rival  string  `json:"rival,omitempty"`
	Unit   string  `json:"unit"`
	// Value is what is held against Want: a ratio, or Own itself. Low and High are how sure it is.
	Value float64 `json:"value"`
	Low   float64 `json:"low,omitempty"`
	High  float64 `json:"high,omitempty"`
	Want  float64 `json:"want"`
	// AtMost turns the comparison round.
	AtMost bool `json:"at_most,omitempty"`
	// Limit is what the kernel allows of it, as far as the run has measured that; Direct is a veth without a host beside it.
	Limit  *Limit `json:"limit,omitempty"`
	Direct *Limit `json:"direct,omitempty"`
	// State is one of those below; Note says why, or what to make of it.
	State string `json:"state"`
	Note  string `json:"note,omitempty"`
}

// Limit is what a target reached of a goal that does no more than what nobody can be without.
type Limit struct {
	Target string  `json:"target"`
	Figure float64 `json:"figure"`
	// Value is its own in place of the goal's; Low and High are how sure it is.
	Value float64 `json:"value"`
	Low   float64 `json:"low,omitempty"`
	High  float64 `json:"high,omitempty"`
	// Share is the judged figure by this one.
	Share stats.Interval `json:"share"`
}

// The states of a goal.
const (
	Met    = "met"
	Missed = "missed"
	// Limited is missed at the limit of the kernel: by that as well, and it is no faster to speak of.
	Limited    = "limited"
	Unmeasured = "unmeasured"
)

// Machine is what a reader needs to know to judge the figures.
type Machine struct {
	Time     string             `json:"time"`
	Kernel   string             `json:"kernel"`
	CPU      string             `json:"cpu"`
	Cores    int                `json:"cores"`
	Governor string             `json:"governor,omitempty"`
	Virtual  bool               `json:"virtual"`
	Load     string             `json:"load_before"`
	Versions map[string]string  `json:"versions"`
	Sysctls  map[string]string  `json:"sysctls"`
	Settings Settings           `json:"settings"`
	Targets  map[string]Setting `json:"targets,omitempty"`
	// Differences lists what is not the same on the veths of all targets: offloads, MTU, sizes of GSO and GRO packets.
	Differences []string `json:"differences,omitempty"`
}

// Settings is how the run was made.
type Settings struct {
	Rounds int `json:"rounds"`
	// Builds is how often the targets were built for them; 0, in older files: once.
	Builds            int     `json:"builds,omitempty"`
	SampleSeconds     float64 `json:"sample_seconds,omitempty"`
	WarmupSeconds     float64 `json:"warmup_seconds,omitempty"`
	CongestionControl string  `json:"congestion_control,omitempty"`
	// Baseline is what ratios are to unless somebody asks for another.
	Baseline string `json:"baseline,omitempty"`
}

// Taken is how many rounds there were, in words.
func (s Settings) Taken() string {
	if s.Builds < 2 {
		return fmt.Sprintf("%d rounds", s.Rounds)
	}
	return fmt.Sprintf("%d rounds, with targets that were built %d times", s.Rounds, s.Builds)
}

// Setting is one target as it stood while it was measured.
type Setting struct {
	// Devices maps "namespace/device" to the state of its offloads and its MTU.
	Devices map[string]string `json:"devices"`
	// Sysctls are those of the host's namespace.
	Sysctls map[string]string `json:"sysctls"`
	Proof   string            `json:"proof"`
}
