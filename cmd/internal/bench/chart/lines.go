// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"cmp"
	"slices"
)

// Lines is a figure along an axis, a line for each target. Both axes are named with their units.
type Lines struct {
	Title, X, Y string
	// XTicks replaces the ticks of the axis, which is logarithmic.
	XTicks []Tick
	YLog   bool
	Series []Series
}

// Tick is a place on an axis with its name.
type Tick struct {
	At   float64
	Name string
}

// Series is the line of one target.
type Series struct {
	Target string
	Points []Point
}

// Point has a whisker from Low to High unless both are zero.
type Point struct{ X, Y, Low, High float64 }

const (
	lineHeight = 280.0
	plotLeft   = 58.0
	plotTop    = 12.0
	labelStep  = 14.0
)

// SVG draws it; without a point there is nothing to draw.
func (l Lines) SVG() string {
	c := new(canvas)
	x, y, ok := l.scales()
	if !ok {
		return ""
	}
	for _, tick := range y.ticks() {
		c.line("grid", x.from, y.at(tick), x.to, y.at(tick))
		c.text("quiet", "end", x.from-6, y.at(tick)+4, short(tick))
	}
	for _, tick := range l.xTicks(x) {
		c.line("grid", x.at(tick.At), y.to, x.at(tick.At), y.from)
		c.text("quiet", "middle", x.at(tick.At), y.from+17, tick.Name)
	}
	c.text("quiet", "middle", (x.from+x.to)/2, lineHeight-6, l.X)
	c.upright("quiet", 12, (y.from+y.to)/2, l.Y)
	for _, s := range l.Series {
		c.series(s, x, y)
	}
	c.labels(l.Series, x, y)
	return c.document(width, lineHeight, l.Title)
}

func (l Lines) scales() (x, y scale, ok bool) {
	var xs, ys []float64
	var names []string
	for _, s := range l.Series {
		names = append(names, s.Target)
		for _, p := range s.Points {
			xs, ys = append(xs, place(p.X)), append(ys, p.Y)
			if p.High > 0 {
				ys = append(ys, p.High)
			}
			if p.Low > 0 {
				ys = append(ys, p.Low)
			}
		}
	}
	if len(xs) == 0 {
		return x, y, false
	}
	for _, t := range l.XTicks {
		xs = append(xs, place(t.At))
	}
	x = scale{low: slices.Min(xs), high: slices.Max(xs), from: plotLeft, to: width - 20 - column(names, 60), log: true}
	if x.high == x.low {
		x.low, x.high = x.low/2, x.high*2
	}
	y = scale{low: 0, high: slices.Max(ys) * 1.05, from: lineHeight - 46, to: plotTop}
	if least := slices.Min(ys); l.YLog && least > 0 {
		y.log, y.low, y.high = true, least/1.2, slices.Max(ys)*1.2
	}
	if y.high <= y.low {
		y.high = y.low + 1
	}
	return x, y, true
}

// place is where a figure stands on a logarithmic axis; none of something stands left of one.
func place(x float64) float64 {
	if x <= 0 {
		return 0.3
	}
	return x
}

func (l Lines) xTicks(x scale) []Tick {
	if len(l.XTicks) > 0 {
		return l.XTicks
	}
	var list []Tick
	if x.low < 0.5 {
		list = append(list, Tick{x.low, "0"})
	}
	for _, v := range x.ticks() {
		if v >= 1 {
			list = append(list, Tick{v, short(v)})
		}
	}
	// The end of the axis is what one looks for.
	const room = 30
	for len(list) > 0 && x.to-x.at(list[len(list)-1].At) < room && list[len(list)-1].At < x.high {
		list = list[:len(list)-1]
	}
	if x.high >= 1 && (len(list) == 0 || list[len(list)-1].At < x.high) {
		list = append(list, Tick{x.high, short(x.high)})
	}
	return list
}

func (c *canvas) series(s Series, x, y scale) {
	c.group(s.Target, s.Target, func() {
		path := ""
		for i, p := range s.Points {
			verb := "L"
			if i == 0 {
				verb = "M"
			}
			path += verb + coordinates(x.at(place(p.X)), y.at(p.Y))
		}
		c.printf(`<path class="curve" d="%s"/>`+"\n", path)
		for _, p := range s.Points {
			if p.Low != 0 || p.High != 0 {
				c.line("reach", x.at(place(p.X)), y.at(p.Low), x.at(place(p.X)), y.at(p.High))
			}
			c.mark(s.Target, x.at(place(p.X)), y.at(p.Y))
		}
	})
}

// labels names each line at its end; where ends are close, the names move apart and a thin line leads to them.
func (c *canvas) labels(list []Series, x, y scale) {
	type label struct {
		target       string
		x, want, put float64
	}
	var labels []label
	for _, s := range list {
		if n := len(s.Points); n > 0 {
			p := s.Points[n-1]
			labels = append(labels, label{target: s.Target, x: x.at(place(p.X)), want: y.at(p.Y)})
		}
	}
	slices.SortStableFunc(labels, func(a, b label) int { return cmp.Compare(a.want, b.want) })
	next := y.to
	for i := range labels {
		labels[i].put = max(labels[i].want, next)
		next = labels[i].put + labelStep
	}
	limit := y.from
	for i := len(labels) - 1; i >= 0; i-- {
		labels[i].put = min(labels[i].put, limit)
		limit = labels[i].put - labelStep
	}
	for _, l := range labels {
		c.group(l.target, l.target, func() {
			c.line("lead", l.x+5, l.want, x.to+10, l.put)
			c.text("", "start", x.to+13, l.put+4, l.target)
		})
	}
}
