// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"math"
)

// Ratios compares targets in some workloads: a line for each target, a mark at its ratio.
type Ratios struct {
	// Title names the chart to those who cannot see it.
	Title    string
	Baseline string
	Rows     []Row
}

// Row is one workload.
type Row struct {
	Name string
	// Note says what the baseline's figure is.
	Note string
	Dots []Dot
}

// Dot is the ratio of one target: where its median lies for sure, and all that was seen.
type Dot struct {
	Target            string
	Value, Low, High  float64
	Smallest, Largest float64
	Rounds            int
}

// The columns and the height of lines.
const (
	valueColumn = 118.0
	rowHead     = 24.0
	rowLine     = 17.0
	axisHeight  = 44.0
)

// SVG draws it.
func (r Ratios) SVG() string {
	c := new(canvas)
	bottom := 6.0
	var names []string
	for _, row := range r.Rows {
		for _, dot := range row.Dots {
			names = append(names, dot.Target)
		}
		bottom += rowHead + rowLine*float64(len(row.Dots))
	}
	x := scale{low: 0, high: r.end(), from: 18 + column(names, 84), to: width - valueColumn}
	for _, tick := range x.ticks() {
		c.line("grid", x.at(tick), 4, x.at(tick), bottom)
		c.text("quiet", "middle", x.at(tick), bottom+16, short(tick))
	}
	c.text("quiet", "middle", (x.from+x.to)/2, bottom+34, "times "+r.Baseline+", same round")
	y := 6.0
	for _, row := range r.Rows {
		c.text("strong", "start", 4, y+16, row.Name)
		c.text("small", "end", width-4, y+16, row.Note)
		y += rowHead
		c.line("base", x.at(1), y-3, x.at(1), y+rowLine*float64(len(row.Dots))-3)
		for _, dot := range row.Dots {
			c.dot(dot, x, y+rowLine/2-2)
			y += rowLine
		}
	}
	return c.document(width, bottom+axisHeight, r.Title)
}

func (c *canvas) dot(d Dot, x scale, y float64) {
	said := fmt.Sprintf("%s %.2f, %.2f to %.2f, seen from %.2f to %.2f in %d rounds",
		d.Target, d.Value, d.Low, d.High, d.Smallest, d.Largest, d.Rounds)
	c.group(d.Target, said, func() {
		c.text("", "start", 10, y+4, d.Target)
		c.line("reach", x.at(d.Smallest), y, x.at(d.Largest), y)
		if d.Largest > x.high {
			c.printf(`<path class="reach" d="M%.1f %.1fl5 4l-5 4"/>`+"\n", x.to-5, y-4)
		}
		c.line("sure", x.at(d.Low), y, x.at(d.High), y)
		c.mark(d.Target, x.at(d.Value), y)
		c.text("", "end", width-4, y+4, fmt.Sprintf("%.2f (%.2f–%.2f)", d.Value, d.Low, d.High))
	})
}

// end leaves room for every median, and for the spreads unless one of them would squeeze all the rest.
func (r Ratios) end() float64 { return endOf(r.Rows, 1.5) }

// endOf shows spreads up to so many times the largest median.
func endOf(rows []Row, most float64) float64 {
	median, spread := 1.0, 1.0
	for _, row := range rows {
		for _, dot := range row.Dots {
			median, spread = max(median, finite(dot.Value)), max(spread, finite(dot.High))
		}
	}
	return max(1.25, median*1.06, min(spread*1.03, median*most))
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
