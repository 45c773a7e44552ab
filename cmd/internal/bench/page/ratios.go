// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/chart"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// cell is what the results of a comparison have in common.
type cell struct {
	scenario, workload string
	family, cpus       int
	axis               string
	x                  int
}

func cellOf(r report.Result) cell {
	return cell{r.Scenario, r.Workload, r.Family, r.CPUs, r.Axis, r.X}
}

// block is the part of a scenario that one chart shows.
type block struct {
	scenario     string
	family, cpus int
}

func (b block) String() string {
	if b.family == 0 {
		return cpus(b.cpus)
	}
	return familyName(b.family) + ", " + cpus(b.cpus)
}

func cpus(n int) string {
	switch n {
	case 0:
		return "all CPUs"
	case 1:
		return "one CPU for all"
	}
	return fmt.Sprintf("%d CPUs", n)
}

// ratios draws a chart for each scenario, address family and number of CPUs.
func ratios(results []report.Result, baseline string) []figure {
	rows := make(map[block][]chart.Row)
	var order []block
	for _, r := range results {
		if r.Axis != "" || r.Target != baseline || r.Median == 0 {
			continue
		}
		row := chart.Row{Name: r.Workload, Note: fmt.Sprintf("%s %s %s", baseline, report.Figure(r.Median), r.Unit)}
		if row.Dots = dots(results, cellOf(r), baseline); len(row.Dots) == 0 {
			continue
		}
		b := block{r.Scenario, r.Family, r.CPUs}
		if _, known := rows[b]; !known {
			order = append(order, b)
		}
		rows[b] = append(rows[b], row)
	}
	var list []figure
	for _, b := range order {
		title := scenarioName(b.scenario) + ": " + b.String()
		svg := chart.Ratios{Title: "Ratios to " + baseline + ": " + title, Baseline: baseline, Rows: rows[b]}.SVG()
		list = append(list, figure{Name: title, SVG: template.HTML(svg)})
	}
	return list
}

func dots(results []report.Result, c cell, baseline string) []chart.Dot {
	var list []chart.Dot
	for _, r := range results {
		ratio, ok := r.Ratio[baseline]
		if !ok || cellOf(r) != c || r.Target == baseline {
			continue
		}
		dot := chart.Dot{Target: r.Target, Value: ratio, Low: ratio, High: ratio, Smallest: ratio, Largest: ratio}
		if s := spread(results, r, baseline); s.Rounds > 0 {
			dot.Low, dot.High, dot.Smallest, dot.Largest, dot.Rounds = s.Low, s.High, s.Min, s.Max, s.Rounds
		}
		list = append(list, dot)
	}
	return list
}

// spread works out what a file does not say that was saved before there was a spread.
func spread(results []report.Result, r report.Result, baseline string) stats.Interval {
	if s, ok := r.Spread[baseline]; ok {
		return s
	}
	for _, o := range results {
		if o.Target == baseline && cellOf(o) == cellOf(r) {
			return stats.Spread(report.RoundRatios(r, o))
		}
	}
	return stats.Interval{}
}

// Overview is the chart of a README: the usual scenarios on one CPU, or on as few as were measured.
func Overview(r *report.Report, baseline string) chart.Overview {
	o := chart.Overview{
		Title:    "Speed against " + dockersRules(baseline),
		Subtitle: "Longer is faster. " + spreadName(r.Machine.Settings.Rounds),
		Baseline: baseline,
	}
	shown := []string{"vethway", "nftables", "routing", "redirect", "least-nat", "direct"}
	for _, scenario := range []string{"published", "masquerade", "c2c"} {
		p := chart.Panel{Name: scenarioName(scenario)}
		for _, head := range heads(r.Results, scenario, baseline) {
			all := dots(r.Results, cellOf(head), baseline)
			all = slices.DeleteFunc(all, func(d chart.Dot) bool { return !slices.Contains(shown, d.Target) })
			for _, d := range all {
				if !slices.Contains(o.Targets, d.Target) {
					o.Targets = append(o.Targets, d.Target)
				}
			}
			if len(all) > 0 {
				p.Rows = append(p.Rows, chart.Row{Name: head.Workload, Dots: all})
			}
		}
		if len(p.Rows) > 0 {
			o.Panels = append(o.Panels, p)
		}
	}
	slices.SortFunc(o.Targets, func(a, b string) int { return cmp.Compare(slices.Index(shown, a), slices.Index(shown, b)) })
	o.Notes = []string{
		"nftables: a verdict map; routing: without NAT; redirect: the smallest tc programs; least-nat: the smallest that translate; direct: a veth without the host.",
		"IPv4, one CPU for client, host and server.",
		meanings(o.Panels),
		fmt.Sprintf("Medians of %s. %s", r.Machine.Settings.Taken(), r.Machine),
	}
	return o
}

// meanings explains the short names among the workloads that are shown.
func meanings(panels []chart.Panel) string {
	var list []string
	for _, m := range [][2]string{
		{"rr", "a byte there and back"}, {"crr", "the same with a connection of its own"}, {"udp", "64-byte datagrams"},
		{"udp-new", "each from a new port"},
	} {
		if slices.ContainsFunc(panels, func(p chart.Panel) bool {
			return slices.ContainsFunc(p.Rows, func(r chart.Row) bool { return r.Name == m[0] })
		}) {
			list = append(list, m[0]+": "+m[1])
		}
	}
	return strings.Join(list, "; ")
}

func dockersRules(baseline string) string {
	if baseline == "iptables" {
		return "Docker's rules on iptables"
	}
	return baseline
}

// fewRounds are too few to say where the median lies with a confidence of 95 %.
const fewRounds = 6

func spreadName(rounds int) string {
	if rounds < fewRounds {
		return "The thin line is all that was seen."
	}
	return "The thin line is where the median lies with a confidence of 95 %."
}

// heads are the baseline's results of a scenario that a README shows. Generated frames are not what a user sends, and larger
// than life beside the rest.
func heads(results []report.Result, scenario, baseline string) []report.Result {
	var list []report.Result
	for _, r := range results {
		if r.Scenario == scenario && r.Target == baseline && r.Axis == "" && r.Family == 4 && r.CPUs == 1 && r.Workload != "limit" {
			list = append(list, r)
		}
	}
	return list
}
