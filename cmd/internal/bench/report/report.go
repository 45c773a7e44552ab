// SPDX-License-Identifier: Apache-2.0

// Package report is what a benchmark leaves behind: the JSON, the table on the terminal, the table in the README.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Report is the whole of one run.
type Report struct {
	Machine Machine  `json:"machine"`
	Results []Result `json:"results"`
}

// Result is one target in one cell of the plan.
type Result struct {
	Scenario string   `json:"scenario"`
	Workload string   `json:"workload"`
	Family   int      `json:"family"`
	CPUs     int      `json:"cpus"`
	Target   string   `json:"target"`
	Unit     string   `json:"unit"`
	Median   float64  `json:"median"`
	Min      float64  `json:"min"`
	Max      float64  `json:"max"`
	Samples  []Sample `json:"samples"`
	// Ratio is the median of the quotients of the rounds, by baseline.
	Ratio map[string]float64 `json:"ratio"`
}

// Sample is one round of a result.
type Sample struct {
	Value float64 `json:"value"`
	// CPUSeconds is what the CPUs in use were busy for while the sample was counted, OwnSeconds the traffic generator's
	// part of it, softirqs on top of its threads included.
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	OwnSeconds float64 `json:"own_cpu_seconds"`
	Lost       float64 `json:"lost,omitempty"`
	P50        float64 `json:"p50_us,omitempty"`
	P99        float64 `json:"p99_us,omitempty"`
	P999       float64 `json:"p999_us,omitempty"`
	// Error is why there is no value.
	Error string `json:"error,omitempty"`
}

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
}

// Settings is how the run was made.
type Settings struct {
	Rounds            int     `json:"rounds"`
	SampleSeconds     float64 `json:"sample_seconds,omitempty"`
	WarmupSeconds     float64 `json:"warmup_seconds,omitempty"`
	CongestionControl string  `json:"congestion_control,omitempty"`
}

// Setting is one target as it stood while it was measured.
type Setting struct {
	// Devices maps "namespace/device" to the state of its offloads and its MTU.
	Devices map[string]string `json:"devices"`
	// Sysctls are those of the host's namespace.
	Sysctls map[string]string `json:"sysctls"`
	Proof   string            `json:"proof"`
}

// Write writes the report as JSON.
func (r *Report) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Save writes the report to a file.
func (r *Report) Save(path string) error { return SaveTo(path, r.Write) }

// SaveTo makes a file of what a function writes.
func SaveTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("save report: %w", err)
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("save report: %w", err)
	}
	return nil
}

// Load reads a report from a file.
func Load(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load report: %w", err)
	}
	r := new(Report)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("load report %s: %w", path, err)
	}
	return r, nil
}
