// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"strings"
)

// Overview is the chart of a README: panels side by side, a group of bars for each workload.
type Overview struct {
	Title, Subtitle string
	Baseline        string
	Targets         []string
	Panels          []Panel
	// Notes are lines below it: how it was measured.
	Notes []string
}

// Panel is one scenario.
type Panel struct {
	Name string
	Rows []Row
}

const (
	overviewWidth = 880.0
	margin        = 20.0
	panelGap      = 22.0
	panelNames    = 76.0
	barHeight     = 7.0
	barStep       = 8.5
	groupGap      = 13.0
	overviewHead  = 92.0
)

// SVG draws it as a document that stands alone, with paper of its own: a code host does not say what is behind it.
func (o Overview) SVG() string {
	c := new(canvas)
	rows := 0
	end := 1.0
	for _, p := range o.Panels {
		rows = max(rows, len(p.Rows))
		end = max(end, endOf(p.Rows, 1.2))
	}
	group := barStep*float64(len(o.Targets)) + groupGap
	bottom := overviewHead + 26 + group*float64(rows)
	height := bottom + 52 + 16*float64(len(o.Notes))
	c.rect("paper", 0.5, 0.5, overviewWidth-1, height-1)
	c.text("title", "start", margin, 30, o.Title)
	c.text("quiet", "start", margin, 50, o.Subtitle)
	o.legend(c, 74)
	if n := float64(len(o.Panels)); n > 0 {
		each := (overviewWidth - 2*margin - panelGap*(n-1)) / n
		for i, p := range o.Panels {
			left := margin + float64(i)*(each+panelGap)
			o.panel(c, p, scale{low: 0, high: end, from: left + panelNames, to: left + each - 30}, left, group)
		}
	}
	for i, note := range o.Notes {
		c.text("small", "start", margin, bottom+56+16*float64(i), note)
	}
	svg := c.document(overviewWidth, height, o.Title)
	size := fmt.Sprintf(` width="%.0f" height="%.0f" role=`, overviewWidth, height)
	svg = strings.Replace(svg, " role=", size, 1)
	return strings.Replace(svg, ">\n", ">\n<style>\n"+Style()+"</style>\n", 1)
}

func (o Overview) legend(c *canvas, y float64) {
	x := margin
	for _, name := range o.Targets {
		c.group(name, name, func() {
			c.rect("bar", x, y-5, 18, barHeight+2)
			c.text(strong(name), "start", x+24, y+4, name)
		})
		x += 24 + textWidth(name)*1.1 + 22
	}
	c.line("base", x, y, x+22, y)
	c.text("quiet", "start", x+28, y+4, o.Baseline+" = 1")
}

// strong marks what the chart is about.
func strong(target string) string {
	if slot(target) == 0 {
		return "strong"
	}
	return ""
}

func (o Overview) panel(c *canvas, p Panel, x scale, left, group float64) {
	y := overviewHead + 14
	c.text("strong", "start", left, y, p.Name)
	y += 12
	bottom := y + group*float64(len(p.Rows))
	for _, tick := range x.ticks() {
		c.line("grid", x.at(tick), y, x.at(tick), bottom)
		c.text("small", "middle", x.at(tick), bottom+15, short(tick))
	}
	c.text("small", "middle", (x.from+x.to)/2, bottom+31, "times "+o.Baseline)
	for _, row := range p.Rows {
		c.text("", "end", x.from-8, y+group/2, row.Name)
		top := y + groupGap/2
		for i, name := range o.Targets {
			for _, dot := range row.Dots {
				if dot.Target == name {
					c.bar(dot, x, top+barStep*float64(i))
				}
			}
		}
		y += group
	}
	c.line("base", x.at(1), bottom-group*float64(len(p.Rows)), x.at(1), bottom)
}

func (c *canvas) bar(d Dot, x scale, y float64) {
	said := fmt.Sprintf("%s %.2f (%.2f to %.2f)", d.Target, d.Value, d.Low, d.High)
	middle := y + barHeight/2
	c.group(d.Target, said, func() {
		c.rect("bar", x.from, y, x.at(d.Value)-x.from, barHeight)
		c.line("whisker", x.at(d.Low), middle, x.at(d.High), middle)
		c.line("whisker", x.at(d.Low), middle-2, x.at(d.Low), middle+2)
		if d.High <= x.high {
			c.line("whisker", x.at(d.High), middle-2, x.at(d.High), middle+2)
		}
		if slot(d.Target) == 0 {
			c.text("strong", "start", x.to+3, middle+5, fmt.Sprintf("%.2f", d.Value))
		}
	})
}
