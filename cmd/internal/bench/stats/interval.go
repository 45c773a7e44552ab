// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"slices"
)

// Interval is where the median of a series lies, as far as so many rounds can tell.
type Interval struct {
	Median float64 `json:"median"`
	// Low and High enclose the true median with a confidence of at least 95 %, whatever the distribution: they are the
	// samples of the rank that a fair coin gives. Fewer than EnoughRounds cannot promise that: then they are the extremes.
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"`
}

// EnoughRounds is how many it takes for an interval to hold what it promises: five all lie on one side of the median once in 16 times.
const EnoughRounds = 6

// doubt is how often the true median may lie outside.
const doubt = 0.05

// Spread returns the zero Interval for an empty series.
func Spread(samples []float64) Interval {
	n := len(samples)
	if n == 0 {
		return Interval{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	rank := medianRank(n)
	return Interval{
		Median: Median(sorted), Low: sorted[rank], High: sorted[n-1-rank], Min: sorted[0], Max: sorted[n-1], Rounds: n,
	}
}

// medianRank is the largest r for which the r-th smallest and the r-th largest (from zero) of n samples still enclose
// the median: each sample lies below it or above it like a coin toss.
func medianRank(n int) int {
	chance := math.Pow(0.5, float64(n)) // of no sample below
	outside := 0.0
	for r := 0; r < (n+1)/2; r++ {
		outside += 2 * chance
		if outside > doubt {
			return max(r-1, 0)
		}
		chance *= float64(n-r) / float64(r+1)
	}
	return max((n-1)/2, 0)
}

// Apart says whether two intervals do not touch.
func (i Interval) Apart(other Interval) bool {
	return i.High < other.Low || other.High < i.Low
}
