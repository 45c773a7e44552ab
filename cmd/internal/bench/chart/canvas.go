// SPDX-License-Identifier: Apache-2.0

// Package chart draws the benchmark's figures as SVG: no script, no font but the reader's own, and colours that follow the
// reader's light or dark scheme.
package chart

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The size of a chart of the page. It is narrow, so that a telephone need not shrink it beyond reading.
const (
	width    = 420.0
	textSize = 12.0
)

// canvas collects the elements of a drawing.
type canvas struct{ b strings.Builder }

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(&c.b, format, args...) }

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.printf(`<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func (c *canvas) rect(class string, x, y, w, h float64) {
	c.printf(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", class, x, y, max(w, 0), max(h, 0))
}

// text is anchored at its "start", "middle" or "end".
func (c *canvas) text(class, anchor string, x, y float64, s string) {
	c.printf(`<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, anchor, x, y, escape(s))
}

// upright is text along the axis on the left.
func (c *canvas) upright(class string, x, y float64, s string) {
	c.printf(`<text class="%s" text-anchor="middle" transform="translate(%.1f %.1f) rotate(-90)">%s</text>`+"\n", class, x, y, escape(s))
}

// group encloses what belongs to one target, and says so when pointed at.
func (c *canvas) group(target, title string, draw func()) {
	c.printf(`<g class="%s"><title>%s</title>`+"\n", class(target), escape(title))
	draw()
	c.printf("</g>\n")
}

// document is the drawing as an element of a page.
func (c *canvas) document(w, h float64, title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n%s</svg>\n",
		w, h, escape(title), c.b.String())
}

// escape makes text that is safe inside an element and inside an attribute.
func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "" // a Builder does not fail
	}
	return b.String()
}

// column is as wide as the longest of some names needs.
func column(names []string, least float64) float64 {
	for _, name := range names {
		least = max(least, textWidth(name))
	}
	return least
}

// textWidth is about how much room a text takes; sans-serif fonts differ by a tenth.
func textWidth(s string) float64 { return float64(len([]rune(s))) * textSize * 0.56 }

func coordinates(x, y float64) string { return fmt.Sprintf("%.1f %.1f", x, y) }
