// SPDX-License-Identifier: Apache-2.0

package size

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/cli/output"
)

// Report is the whole of one run.
type Report struct {
	Machine report.Machine `json:"machine"`
	Results []Result       `json:"results"`
}

// Result is one line.
type Result struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Unit   string  `json:"unit"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// Count is how many ports were published, or containers attached.
	Count int `json:"count,omitempty"`
	// Budget is what the median is to stay below; 0: none was set.
	Budget  float64   `json:"budget,omitempty"`
	Samples []float64 `json:"samples"`
}

// Judged are the results that goals are about, in the shape of a run's: publishing by one request of the API, over ports,
// attaching the last of many containers, and what memory flows and ports take; and what the kernel alone takes for the same.
func (r *Report) Judged() []report.Result {
	var list []report.Result
	for _, res := range r.Results {
		result := report.Result{
			Scenario: publishName, Workload: publishName, Axis: "ports", X: res.Count, Target: "vethway", Unit: res.Unit, LowerIsBetter: true,
			Median: res.Median, Min: res.Min, Max: res.Max,
		}
		switch res.Name {
		case publishName:
		case attachLast:
			result.Scenario, result.Workload, result.Axis = "create", "create", "containers"
		case portsLeast:
			result.Target = "kernel"
		case flowsMemory:
			result.Scenario, result.Workload, result.Axis = "memory", "memory", "flows"
		case leastFlows4:
			result.Scenario, result.Workload, result.Axis, result.Target = "memory", "memory", "flows", "least-ipv4"
		case leastFlows6:
			result.Scenario, result.Workload, result.Axis, result.Target = "memory", "memory", "flows", "least-ipv6"
		case portMemory:
			result.Scenario, result.Workload = "memory", "memory"
		default:
			continue
		}
		for _, v := range res.Samples {
			result.Samples = append(result.Samples, report.Sample{Value: v})
		}
		list = append(list, result)
	}
	return list
}

// Begin and End enclose the part of a README that belongs to the report.
const (
	Begin = "<!-- size:begin -->"
	End   = "<!-- size:end -->"
)

// WriteText writes the report for a person.
func (r *Report) WriteText(w io.Writer) error {
	table := output.NewTable("WHAT", "UNIT", "MEDIAN", "MIN", "MAX", "BUDGET")
	for _, res := range r.Results {
		budget := res.budget()
		if res.Budget != 0 && res.Median > res.Budget {
			budget += ", exceeded"
		}
		table.Row(res.What, res.Unit, report.Figure(res.Median), report.Figure(res.Min), report.Figure(res.Max), budget)
	}
	if err := table.WriteAligned(w); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\nMedians of %d rounds.\n%s\n", r.Machine.Settings.Rounds, r.Machine); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

func (r Result) budget() string {
	if r.Budget == 0 {
		return ""
	}
	return strconv.FormatFloat(r.Budget, 'f', -1, 64)
}

// Markdown is the report as a README has it.
func (r *Report) Markdown() string {
	var b strings.Builder
	b.WriteString("| | median | of rounds | budget |\n|---|---:|---:|---:|\n")
	for _, res := range r.Results {
		budget := "-"
		if res.Budget != 0 {
			budget = res.budget() + " " + res.Unit
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s to %s | %s |\n", res.What, report.Figure(res.Median), res.Unit,
			report.Figure(res.Min), report.Figure(res.Max), budget)
	}
	fmt.Fprintf(&b, "\nMedians of %d rounds. %s\n", r.Machine.Settings.Rounds, r.Machine)
	return b.String()
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
func (r *Report) Save(path string) error { return report.SaveTo(path, r.Write) }

// Update returns the text with the report between the markers, or as it was if it has none.
func (r *Report) Update(text string) (string, error) {
	if !strings.Contains(text, Begin) {
		return text, nil
	}
	return report.Between(text, Begin, End, r.Markdown())
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

// grouped writes a number with commas between thousands.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
