// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/vethway/vethway/cmd/internal/bench/chart"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// latencies draws the curves of every cell that has histograms, but for those of series.
func latencies(results []report.Result) []figure {
	var list []figure
	var done []cell
	for _, head := range results {
		c := cellOf(head)
		if head.Axis != "" || len(head.Latency) == 0 || slices.Contains(done, c) {
			continue
		}
		done = append(done, c)
		var lines []chart.Series
		for _, r := range results {
			if cellOf(r) != c {
				continue
			}
			if points := percentiles(r.Latency); len(points) > 0 {
				lines = append(lines, chart.Series{Target: r.Target, Points: points})
			}
		}
		name := fmt.Sprintf("%s: %s, %s", scenarioName(head.Scenario), head.Workload, block{head.Scenario, head.Family, head.CPUs})
		svg := chart.Lines{
			Title: "Latency: " + name, X: "percentile", Y: "latency, µs",
			XTicks: percentileTicks(), YLog: true, Series: lines,
		}.SVG()
		if svg != "" {
			list = append(list, figure{Name: name, SVG: template.HTML(svg)})
		}
	}
	return list
}

// rarity is a percentile's place on the axis: one in so many is slower.
func rarity(p float64) float64 { return 100 / (100 - p) }

func percentileTicks() []chart.Tick {
	var list []chart.Tick
	for _, p := range []float64{50, 90, 99, 99.9} {
		list = append(list, chart.Tick{At: rarity(p), Name: fmt.Sprintf("p%g", p)})
	}
	return list
}

// percentiles leaves out those that a handful of events would decide.
func percentiles(buckets []stats.Bucket) []chart.Point {
	h := new(stats.Histogram)
	h.Add(buckets)
	var points []chart.Point
	for _, p := range []float64{50, 75, 90, 95, 99, 99.5, 99.9} {
		if slower := float64(h.Count()) / rarity(p); slower < 2.99 {
			break
		}
		if us := float64(h.Percentile(p).Nanoseconds()) / 1e3; us > 0 {
			points = append(points, chart.Point{X: rarity(p), Y: us})
		}
	}
	return points
}

// curve is what a chart along an axis shows.
type curve struct {
	block
	workload, axis string
}

// series draws a chart for every axis, workload and number of CPUs.
func series(results []report.Result) []figure {
	var list []figure
	var done []curve
	for _, head := range results {
		c := curveOf(head)
		if head.Axis == "" || slices.Contains(done, c) {
			continue
		}
		done = append(done, c)
		if f, ok := c.draw(results, head); ok {
			list = append(list, f)
		}
	}
	return list
}

func curveOf(r report.Result) curve {
	return curve{block{r.Scenario, r.Family, r.CPUs}, r.Workload, r.Axis}
}

func (c curve) draw(results []report.Result, head report.Result) (figure, bool) {
	var lines []chart.Series
	low, high := math.Inf(1), 0.0
	for _, r := range results {
		if curveOf(r) != c || r.Median == 0 {
			continue
		}
		low, high = min(low, r.Median), max(high, r.Median)
		i := slices.IndexFunc(lines, func(s chart.Series) bool { return s.Target == r.Target })
		if i < 0 {
			i = len(lines)
			lines = append(lines, chart.Series{Target: r.Target})
		}
		lines[i].Points = append(lines[i].Points, chart.Point{X: float64(r.X), Y: r.Median, Low: r.Min, High: r.Max})
	}
	for _, l := range lines {
		slices.SortFunc(l.Points, func(a, b chart.Point) int { return int(a.X) - int(b.X) })
	}
	note := "more is better"
	if head.LowerIsBetter {
		note = "less is better"
	}
	name := scenarioName(c.scenario) + ": " + c.workload
	if c.family != 0 {
		name += ", " + c.block.String()
	}
	svg := chart.Lines{
		Title: name + ", by " + c.axis, X: axisName(c.axis), Y: head.Unit,
		YLog: high/low > 10, Series: lines,
	}.SVG()
	return figure{Name: name + ", by " + c.axis, Note: note + "; the lines upright are all that was seen", SVG: template.HTML(svg)}, svg != ""
}

func axisName(axis string) string {
	switch axis {
	case "ports":
		return "published ports"
	case "flows":
		return "flows in the table"
	case "containers":
		return "containers on the host"
	case "rules":
		return "rules of the rival's"
	}
	return axis
}
