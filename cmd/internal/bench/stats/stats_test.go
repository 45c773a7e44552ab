// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSummarize(t *testing.T) {
	for name, tc := range map[string]struct {
		samples []float64
		want    Summary
	}{
		"none":  {nil, Summary{}},
		"one":   {[]float64{3}, Summary{3, 3, 3}},
		"odd":   {[]float64{9, 1, 5}, Summary{5, 1, 9}},
		"even":  {[]float64{4, 1, 2, 9}, Summary{3, 1, 9}},
		"equal": {[]float64{2, 2, 2, 2}, Summary{2, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Summarize(tc.samples); got != tc.want {
				t.Errorf("Summarize(%v) = %v, want %v", tc.samples, got, tc.want)
			}
		})
	}
}

func TestMedianLeavesItsArgumentAlone(t *testing.T) {
	samples := []float64{3, 1, 2}
	Median(samples)
	if samples[0] != 3 || samples[1] != 1 || samples[2] != 2 {
		t.Errorf("samples were reordered: %v", samples)
	}
}

func TestPairedRatio(t *testing.T) {
	nan := math.NaN()
	for name, tc := range map[string]struct {
		samples, baseline []float64
		want              float64
		ok                bool
	}{
		"none":                       {nil, nil, 0, false},
		"itself":                     {[]float64{4, 8, 2}, []float64{4, 8, 2}, 1, true},
		"a slow round slows both":    {[]float64{15, 3, 15}, []float64{10, 2, 10}, 1.5, true},
		"median, not mean":           {[]float64{1, 1, 10}, []float64{1, 1, 1}, 1, true},
		"pairs, not medians":         {[]float64{10, 20, 60}, []float64{10, 10, 20}, 2, true},
		"an even number":             {[]float64{2, 4}, []float64{1, 1}, 3, true},
		"a failed round is left out": {[]float64{2, nan, 2, 6}, []float64{1, 1, nan, 3}, 2, true},
		"a zero baseline":            {[]float64{2, 2}, []float64{0, 1}, 2, true},
		"only failures":              {[]float64{nan}, []float64{1}, 0, false},
		"unequal lengths":            {[]float64{2, 2, 2}, []float64{1}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			ratios := PairedRatios(tc.samples, tc.baseline)
			if got := Spread(ratios); got.Median != tc.want || (got.Rounds > 0) != tc.ok {
				t.Errorf("PairedRatios = %v, want the median %v, %v", ratios, tc.want, tc.ok)
			}
		})
	}
}

func TestHistogramBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := uint64(rapid.Int64Range(0, math.MaxInt64).Draw(t, "v"))
		bucket := bucketOf(v)
		if bucket < 0 || bucket >= buckets {
			t.Fatalf("bucketOf(%d) = %d is out of range", v, bucket)
		}
		low := lowerBound(bucket)
		if low > v || float64(v-low) > float64(v)/steps {
			t.Fatalf("%d is counted as %d", v, low)
		}
	})
}

func TestHistogramPercentiles(t *testing.T) {
	var h, other Histogram
	if h.Percentile(50) != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := range 500 {
		h.Record(time.Duration(i) * time.Microsecond)
		other.Record(time.Duration(i+500) * time.Microsecond)
	}
	h.Merge(&other)
	if h.Count() != 1000 {
		t.Errorf("Count = %d, want 1000", h.Count())
	}
	for p, want := range map[float64]time.Duration{50: 499, 99: 989, 99.9: 998, 100: 999} {
		got := h.Percentile(p)
		if want *= time.Microsecond; got > want || got < want*30/32 {
			t.Errorf("p%v = %v, want about %v", p, got, want)
		}
	}
}
