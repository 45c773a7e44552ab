// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRankSum(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{nil, []float64{1}, 1},
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 2. / 20},
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2. / 252},
		{[]float64{1, 3, 5}, []float64{2, 4, 6}, 14. / 20},
		{[]float64{7, 7}, []float64{7, 7}, 1},
		{[]float64{1, 1}, []float64{2, 2}, 2. / 6},
	} {
		if got := RankSum(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("RankSum(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// It is the share of all ways to deal the values out again that are as far from the middle, counted one by one.
func TestRankSumByCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 6), func(n int) float64 { return float64(n) }), 2, 9).Draw(t, "values")
		n := rapid.IntRange(1, len(values)-1).Draw(t, "n")
		ranks, own := doubledRanks(values[:n], values[n:])
		middle := float64(n * (len(values) + 1))
		all, extreme := 0, 0
		for set := range 1 << len(values) {
			size, sum := 0, 0
			for i, r := range ranks {
				if set>>i&1 == 1 {
					size, sum = size+1, sum+r
				}
			}
			if size == n {
				all++
				if math.Abs(float64(sum)-middle) >= math.Abs(float64(own)-middle) {
					extreme++
				}
			}
		}
		if got, want := RankSum(values[:n], values[n:]), float64(extreme)/float64(all); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v and %v: %v, want %v", values[:n], values[n:], got, want)
		}
	})
}

// Where nothing differs, it speaks up as seldom as it says.
func TestRankSumIsHonest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const trials = 2000
	wrong := 0
	for range trials {
		a, b := make([]float64, 7), make([]float64, 7)
		for i := range a {
			a[i], b[i] = random.ExpFloat64(), random.ExpFloat64()
		}
		if RankSum(a, b) <= 0.05 {
			wrong++
		}
	}
	if share := float64(wrong) / trials; share > 0.06 || share < 0.02 {
		t.Errorf("it speaks up in %.1f %% of the cases where there is nothing", 100*share)
	}
}

func TestDiscoveries(t *testing.T) {
	got := Discoveries([]float64{0.001, 0.9, 0.02, 0.039, 0.5}, 0.05)
	if want := []bool{true, false, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Discoveries(nil, 0.05); len(got) != 0 {
		t.Errorf("of nothing %v", got)
	}
}
