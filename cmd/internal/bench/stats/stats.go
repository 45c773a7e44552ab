// SPDX-License-Identifier: Apache-2.0

// Package stats holds the arithmetic of the benchmark: medians, and ratios paired round by round.
package stats

import (
	"math"
	"slices"
)

// Summary is what a report prints of one series of samples.
type Summary struct {
	Median, Min, Max float64
}

// Summarize returns the zero Summary for an empty series.
func Summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	return Summary{Median: Median(samples), Min: slices.Min(samples), Max: slices.Max(samples)}
}

// Median of an even number of samples is the mean of the two in the middle; of none it is NaN.
func Median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(samples))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// PairedRatios divides the samples of a round by the baseline's of the same round. What disturbs a shared machine for a
// second disturbs both halves of a pair, so the median of the quotients is steadier than the quotient of the medians. A
// round is skipped where either half is missing (NaN) or the baseline is zero.
func PairedRatios(samples, baseline []float64) []float64 {
	var ratios []float64
	for round := range min(len(samples), len(baseline)) {
		numerator, denominator := samples[round], baseline[round]
		if math.IsNaN(numerator) || math.IsNaN(denominator) || denominator == 0 {
			continue
		}
		ratios = append(ratios, numerator/denominator)
	}
	return ratios
}
