// SPDX-License-Identifier: Apache-2.0

package drop

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
	"github.com/vethway/vethway/cmd/internal/cli/output"
)

// Report is the whole of one run.
type Report struct {
	Machine  report.Machine `json:"machine"`
	Prefixes int            `json:"prefixes"` // on each list, beside the one that matches
	Results  []Result       `json:"results"`
}

// Result is one target in one family. Rates are frames in a second, on one CPU, which generates them as well.
type Result struct {
	Target string         `json:"target"`
	What   string         `json:"what"`
	Family int            `json:"family"`
	Median float64        `json:"median"`
	Min    float64        `json:"min"`
	Max    float64        `json:"max"`
	Ratio  stats.Interval `json:"ratio"` // to Baseline, round by round
	// Efficiency is the same ratio of what one second of CPU time gets rid of, which does not hang on what else the CPU had to do.
	Efficiency stats.Interval `json:"efficiency"`
	Samples    []Sample       `json:"samples"`
}

// Sample is one turn.
type Sample struct {
	Rate        float64 `json:"rate"`
	Nanoseconds float64 `json:"ns"` // of the CPU's time that a frame took, its making included
}

func (r Result) each(of func(Sample) float64) []float64 {
	values := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		values[i] = of(s)
	}
	return values
}

func rate(s Sample) float64        { return s.Rate }
func nanoseconds(s Sample) float64 { return s.Nanoseconds }

// WriteText writes the report for a person.
func (r *Report) WriteText(w io.Writer) error {
	table := output.NewTable("TARGET", "FAMILY", "FRAMES/S", "RATIO", "OF", "NS/FRAME", "RATIO BY CPU", "OF", "WHAT")
	for _, res := range r.Results {
		table.Row(res.Target, fmt.Sprintf("IPv%d", res.Family), report.Figure(res.Median),
			fmt.Sprintf("%.2f", res.Ratio.Median), fmt.Sprintf("%.2f-%.2f", res.Ratio.Low, res.Ratio.High),
			report.Figure(stats.Median(res.each(nanoseconds))),
			fmt.Sprintf("%.2f", res.Efficiency.Median), fmt.Sprintf("%.2f-%.2f", res.Efficiency.Low, res.Efficiency.High), res.What)
	}
	if err := table.WriteAligned(w); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\nMedians of %d rounds in turn, %d prefixes on each list beside the one that matches; ratios to %s,\nround by round, with the interval that the true one lies in; NS/FRAME is CPU time, the frame's making included.\n%s\n",
		r.Machine.Settings.Rounds, r.Prefixes, Baseline, r.Machine); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
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
