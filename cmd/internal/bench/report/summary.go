// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// Summarize works out medians, spreads and ratios of the results of one cell, whose samples are paired by their index.
func Summarize(cell []Result) {
	values, carried := make([][]float64, len(cell)), make([][]float64, len(cell))
	for i, result := range cell {
		values[i] = pairable(result.Samples, func(s Sample) float64 { return s.Value })
		carried[i] = pairable(result.Samples, carriedBySecond)
	}
	for i := range cell {
		cell[i].summarize()
		cell[i].Ratio, cell[i].Spread = make(map[string]float64), make(map[string]stats.Interval)
		for j, baseline := range cell {
			if i == j {
				continue
			}
			if ratios := stats.PairedRatios(values[i], values[j]); len(ratios) > 0 {
				spread := stats.Spread(ratios)
				cell[i].Ratio[baseline.Target], cell[i].Spread[baseline.Target] = spread.Median, spread
			}
			if ratios := stats.PairedRatios(carried[i], carried[j]); len(ratios) > 0 {
				if cell[i].Efficiency == nil {
					cell[i].Efficiency = make(map[string]stats.Interval)
				}
				cell[i].Efficiency[baseline.Target] = stats.Spread(ratios)
			}
		}
	}
}

// summarize is what a result says by itself.
func (r *Result) summarize() {
	summary := stats.Summarize(good(r.Samples))
	r.Median, r.Min, r.Max = summary.Median, summary.Min, summary.Max
	// What was there has the samples of an earlier summary.
	lists := [][]stats.Bucket{r.Latency}
	for i := range r.Samples {
		lists = append(lists, r.Samples[i].Latency)
		r.Samples[i].Latency = nil
	}
	if r.Latency = stats.Sum(lists...); len(r.Latency) > 0 {
		h := new(stats.Histogram)
		h.Add(r.Latency)
		r.P50, r.P99, r.P999 = microseconds(h.Percentile(50)), microseconds(h.Percentile(99)), microseconds(h.Percentile(99.9))
	}
	r.Share = 0
	if r.CPUs == 1 {
		r.Share = CPUShare([]Result{*r})
	}
	unit, scale := "us", 1e6
	if r.Unit == "Gbit/s" {
		unit, scale = "s/GB", 8
	}
	if costs := each(r.Samples, func(s Sample) float64 { return scale * s.OwnSeconds / (s.Value * s.Seconds) }); len(costs) > 0 {
		r.Cost, r.CostUnit = stats.Median(costs), unit
	}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// Failures is nil when every result has at least one good sample.
func Failures(cell []Result) error {
	var errs []error
	for _, result := range cell {
		if len(good(result.Samples)) > 0 || len(result.Samples) == 0 {
			continue
		}
		errs = append(errs, fmt.Errorf("%s %s %s through %s: every sample failed, the last by: %s", result.Scenario,
			result.what(), family(result.Family), result.Target, result.Samples[len(result.Samples)-1].Error))
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
func pairable(samples []Sample, value func(Sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
		if s.Error != "" {
			values[i] = math.NaN()
		}
	}
	return values
}

// RoundRatios divides a result's samples by another's of the same rounds; rounds in which one of them failed are left out.
func RoundRatios(own, baseline Result) []float64 {
	value := func(s Sample) float64 { return s.Value }
	return stats.PairedRatios(pairable(own.Samples, value), pairable(baseline.Samples, value))
}

// CarriedRatios are the same of what a second of CPU time carried; without rounds for which CPU time was counted, there are none.
func CarriedRatios(own, baseline Result) []float64 {
	return stats.PairedRatios(pairable(own.Samples, carriedBySecond), pairable(baseline.Samples, carriedBySecond))
}

// LatencyRatios are the same of the rounds' median latencies.
func LatencyRatios(own, baseline Result) []float64 {
	value := func(s Sample) float64 { return s.P50 }
	return stats.PairedRatios(pairable(own.Samples, value), pairable(baseline.Samples, value))
}

// carriedBySecond is how much one second of CPU time carried; NaN where nobody counted CPU time.
func carriedBySecond(s Sample) float64 {
	if s.OwnSeconds == 0 {
		return math.NaN()
	}
	return s.Value * s.Seconds / s.OwnSeconds
}

// medianOf is empty where no sample has the value.
func medianOf(samples []Sample, value func(Sample) float64) string {
	values := each(samples, value)
	if len(values) == 0 {
		return ""
	}
	return Figure(stats.Median(values))
}

// each is the value of every good sample that has one.
func each(samples []Sample, value func(Sample) float64) []float64 {
	var values []float64
	for _, s := range samples {
		if s.Error != "" {
			continue
		}
		if v := value(s); v != 0 && !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	return values
}

// CPUShare is the part of the measured time for which the traffic was on a CPU; on a single CPU that is all of it unless
// other programs want the CPU too.
func CPUShare(cell []Result) float64 {
	var own, all float64
	for _, result := range cell {
		for _, s := range result.Samples {
			if s.OwnSeconds > 0 {
				own += s.OwnSeconds
				all += s.Seconds
			}
		}
	}
	if all == 0 {
		return 1
	}
	return own / all
}
