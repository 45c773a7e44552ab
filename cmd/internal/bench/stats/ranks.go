// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"cmp"
	"math"
	"slices"
)

// RankSum is the exact two-sided p-value of the rank-sum test by Wilcoxon, Mann and Whitney: how often chance alone would
// set two series as far apart by rank as these, whatever the distribution of their values. Equal values share their ranks.
// Of an empty series nothing can be told: that is 1.
func RankSum(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 1
	}
	ranks, own := doubledRanks(a, b)
	// ways[k][s] counts the choices of k of all values whose doubled ranks add up to s.
	total := 0
	for _, r := range ranks {
		total += r
	}
	ways := make([][]float64, len(a)+1)
	for k := range ways {
		ways[k] = make([]float64, total+1)
	}
	ways[0][0] = 1
	for _, r := range ranks {
		for k := len(a); k > 0; k-- {
			for s := total; s >= r; s-- {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	expected := float64(total) * float64(len(a)) / float64(len(ranks))
	far := math.Abs(float64(own)-expected) - 1e-6
	var all, extreme float64
	for s, n := range ways[len(a)] {
		all += n
		if math.Abs(float64(s)-expected) >= far {
			extreme += n
		}
	}
	return extreme / all
}

// doubledRanks are twice the ranks of all values, which makes the mean of two ranks a whole number, and their sum over a.
func doubledRanks(a, b []float64) (ranks []int, own int) {
	type value struct {
		v   float64
		own bool
	}
	var list []value
	for _, v := range a {
		list = append(list, value{v, true})
	}
	for _, v := range b {
		list = append(list, value{v, false})
	}
	slices.SortFunc(list, func(x, y value) int { return cmp.Compare(x.v, y.v) })
	for i := 0; i < len(list); {
		j := i
		for j < len(list) && list[j].v == list[i].v {
			j++
		}
		for _, v := range list[i:j] {
			rank := (i + 1) + j // the mean of ranks i+1 to j, twice
			ranks = append(ranks, rank)
			if v.own {
				own += rank
			}
		}
		i = j
	}
	return ranks, own
}

// Discoveries says which of many p-values may be believed so that, on average, no more than the given part of those
// believed is chance, by the procedure of Benjamini and Hochberg.
func Discoveries(p []float64, part float64) []bool {
	sorted := slices.Sorted(slices.Values(p))
	bound := -1.0
	for i, v := range sorted {
		if v <= part*float64(i+1)/float64(len(sorted)) {
			bound = v
		}
	}
	found := make([]bool, len(p))
	for i, v := range p {
		found[i] = v <= bound
	}
	return found
}
