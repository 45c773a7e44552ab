// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"math"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// Summarize works out medians, spreads and ratios of the results of one cell, whose samples are paired by their index.
func Summarize(cell []Result) {
	values := make([][]float64, len(cell))
	for i, result := range cell {
		values[i] = pairable(result.Samples)
	}
	for i := range cell {
		summary := stats.Summarize(good(cell[i].Samples))
		cell[i].Median, cell[i].Min, cell[i].Max = summary.Median, summary.Min, summary.Max
		cell[i].Ratio = make(map[string]float64)
		for j, baseline := range cell {
			if i == j {
				continue
			}
			if ratio, ok := stats.PairedRatio(values[i], values[j]); ok {
				cell[i].Ratio[baseline.Target] = ratio
			}
		}
	}
}

// Failures is nil when every result has at least one good sample.
func Failures(cell []Result) error {
	var errs []error
	for _, result := range cell {
		if len(good(result.Samples)) > 0 || len(result.Samples) == 0 {
			continue
		}
		errs = append(errs, fmt.Errorf("%s %s ipv%d through %s: every sample failed, the last by: %s", result.Scenario,
			result.Workload, result.Family, result.Target, result.Samples[len(result.Samples)-1].Error))
	}
	return errors.Join(errs...)
}

func good(samples []Sample) []float64 {
	var values []float64
	for _, s := range samples {
		if s.Error == "" {
			values = append(values, s.Value)
		}
	}
	return values
}

// pairable keeps a place for failed samples, so that the rounds of two targets stay side by side.
func pairable(samples []Sample) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.Value
		if s.Error != "" {
			values[i] = math.NaN()
		}
	}
	return values
}

// medianOf is empty where no sample has the value.
func medianOf(samples []Sample, value func(Sample) float64) string {
	var values []float64
	for _, s := range samples {
		if s.Error != "" {
			continue
		}
		if v := value(s); v != 0 {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return ""
	}
	return Figure(stats.Median(values))
}

// CPUShare is the part of the measured time for which the traffic was on a CPU; on a single CPU that is all of it unless
// other programs want the CPU too.
func CPUShare(cell []Result) float64 {
	var own, all float64
	for _, result := range cell {
		for _, s := range result.Samples {
			own += s.OwnSeconds
			all += s.Seconds
		}
	}
	if all == 0 {
		return 1
	}
	return own / all
}
