// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math/rand/v2"
	"testing"
)

// The ranks are those of the tables for the sign test.
func TestMedianRank(t *testing.T) {
	for n, want := range map[int]int{1: 0, 5: 0, 6: 0, 8: 0, 9: 1, 11: 1, 12: 2, 20: 5, 25: 7} {
		if got := medianRank(n); got != want {
			t.Errorf("medianRank(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	got := Spread([]float64{9, 1, 8, 2, 7, 3, 6, 4, 5})
	if want := (Interval{Median: 5, Low: 2, High: 8, Min: 1, Max: 9, Rounds: 9}); got != want {
		t.Errorf("Spread = %+v, want %+v", got, want)
	}
	if got := Spread(nil); got != (Interval{}) {
		t.Errorf("Spread of nothing = %+v", got)
	}
	if got := Spread([]float64{2}); got.Low != 2 || got.High != 2 || got.Rounds != 1 {
		t.Errorf("Spread of one = %+v", got)
	}
}

// Of a known median, the interval must miss no more often than it says.
func TestSpreadHoldsTheMedian(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const tries, rounds = 4000, 11
	missed := 0
	for range tries {
		samples := make([]float64, rounds)
		for i := range samples {
			samples[i] = random.ExpFloat64() // its median is ln 2
		}
		if s := Spread(samples); s.Low > 0.6931 || s.High < 0.6932 {
			missed++
		}
	}
	if share := float64(missed) / tries; share > doubt {
		t.Errorf("the median lies outside in %.1f %% of %d series", 100*share, tries)
	}
}

func TestApart(t *testing.T) {
	one, two := Interval{Low: 1, High: 2}, Interval{Low: 2.1, High: 3}
	if !one.Apart(two) || !two.Apart(one) || one.Apart(Interval{Low: 2, High: 5}) {
		t.Error("intervals that do not touch are apart, others are not")
	}
}
