// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"math"
	"strconv"
)

// scale maps figures to places.
type scale struct {
	low, high float64 // figures
	from, to  float64 // places
	log       bool
}

// at is the place of a figure; one beyond the scale is put at its end.
func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		low, high, v = math.Log10(low), math.Log10(high), math.Log10(max(v, s.low))
	}
	if high == low || math.IsNaN(v) {
		return (s.from + s.to) / 2
	}
	return s.from + (s.to-s.from)*min(max((v-low)/(high-low), 0), 1)
}

// ticks are round figures along the scale, a handful of them.
func (s scale) ticks() []float64 {
	if s.log {
		return s.decades()
	}
	step := roundStep((s.high - s.low) / 5)
	var list []float64
	for i := math.Ceil(s.low/step - 1e-9); i*step <= s.high*(1+1e-9); i++ {
		list = append(list, i*step)
	}
	return list
}

// decades are powers of ten, with 2 and 5 between them where there are few.
func (s scale) decades() []float64 {
	between := []float64{1}
	if s.high/s.low < 100 {
		between = []float64{1, 2, 5}
	}
	var list []float64
	for e := math.Floor(math.Log10(s.low)); e <= math.Ceil(math.Log10(s.high)); e++ {
		for _, m := range between {
			if v := m * math.Pow(10, e); v >= s.low*(1-1e-9) && v <= s.high*(1+1e-9) {
				list = append(list, v)
			}
		}
	}
	return list
}

func roundStep(step float64) float64 {
	if step <= 0 || math.IsNaN(step) || math.IsInf(step, 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if step <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}

// short writes a figure for an axis: 0.5, 20, 5k, 1.5M.
func short(v float64) string {
	for _, unit := range []struct {
		by   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.by*0.9999 {
			return strconv.FormatFloat(round(v/unit.by), 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(round(v), 'f', -1, 64)
}

// round keeps three digits: a tick is a product of floating point numbers.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/unit) * unit
}
