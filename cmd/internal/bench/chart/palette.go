// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// ink is how a target looks. The colours are near those of Okabe and Ito, which people tell apart who do not see all
// colours; the shapes of the marks say the same once more. A target's variant has its mark, but hollow.
type ink struct {
	target      string
	light, dark string
	mark        string
	hollow      bool
}

func inks() []ink {
	return []ink{
		{"vethway", "#0072b2", "#4db3e6", "circle", false},
		{"iptables", "#5f6b76", "#a9b4be", "square", false},
		{"nftables", "#9a6300", "#e69f00", "diamond", false},
		{"routing", "#00795a", "#2cc295", "up", false},
		{"direct", "#a8508a", "#e08fc0", "down", false},
		{"redirect", "#4b4fa8", "#a9aef5", "bowtie", false},
		{"least-nat", "#a3344d", "#f28aa0", "hourglass", false},
		{"docker-proxy", "#c24a00", "#ff7f3f", "cross", false},
		{"vethway-bigtcp", "#1d7aac", "#8fd3f7", "circle", true},
		{"vethway@1", "#3d8fbd", "#a6dcf7", "hexagon", true},
		{"vethway-spliced", "#005a8c", "#7cc8f0", "hexagon", false},
		{"iptables-bigtcp", "#6e7781", "#c9d1d9", "square", true},
		{"nftables-linear", "#8f5a00", "#ffc658", "diamond", true},
		{"routing-bigtcp", "#1f7f63", "#7fe3c5", "up", true},
		{"redirect-bigtcp", "#6a6ec0", "#c9ccfa", "bowtie", true},
		{"least-nat-bigtcp", "#b5536a", "#f7b5c2", "hourglass", true},
		{"direct-bigtcp", "#b04f97", "#f3b8de", "down", true},
		{"iptables-legacy", "#736a00", "#f0e442", "plus", false},
		{"iptables-plain-bridge", "#8b4a3a", "#d9a08c", "star", false},
		{"least-splice", "#b3261e", "#ff9a8f", "equals", false},
	}
}

// slot is the ink of a target: the same in every chart of every report.
func slot(target string) int {
	list := inks()
	if i := slices.IndexFunc(list, func(k ink) bool { return k.target == target }); i >= 0 {
		return i
	}
	h := fnv.New32a()
	h.Write([]byte(target))
	return int(h.Sum32() % uint32(len(list)))
}

func class(target string) string { return fmt.Sprintf("s%d", slot(target)) }

// mark draws the sign of a target.
func (c *canvas) mark(target string, x, y float64) {
	const r = 4.0
	k := inks()[slot(target)]
	path := func(class, format string, args ...any) {
		c.printf(`<path class="%s" d="M%.1f %.1f%s"/>`+"\n", class, x, y, fmt.Sprintf(format, args...))
	}
	fill := "mark"
	if k.hollow {
		fill = "mark hollow"
	}
	switch k.mark {
	case "square":
		path(fill, "m%.1f %.1fh%.1fv%.1fh%.1fz", -r+.5, -r+.5, 2*r-1, 2*r-1, -2*r+1)
	case "diamond":
		path(fill, "m0 %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz", -r-1, r+1, r+1, -r-1, r+1, -r-1, -r-1)
	case "up":
		path(fill, "m0 %.1fl%.1f %.1fh%.1fz", -r-.5, r+.5, 2*r, -2*r-1)
	case "down":
		path(fill, "m0 %.1fl%.1f %.1fh%.1fz", r+.5, r+.5, -2*r, -2*r-1)
	case "bowtie":
		path(fill, "m%.1f %.1fl%.1f %.1fv%.1fl%.1f %.1fz", -r-.5, -r, 2*r+1, 2*r, -2*r, -2*r-1, 2*r)
	case "hourglass":
		path(fill, "m%.1f %.1fh%.1fl%.1f %.1fh%.1fz", -r, -r-.5, 2*r, -2*r, 2*r+1, 2*r)
	case "hexagon":
		path(fill, "m%.1f 0l%.1f %.1fh%.1fl%.1f %.1fl%.1f %.1fh%.1fz", -r-1.5, r/2+.5, -r+.5, r+1, r/2+.5, r-.5, -r/2-.5, r-.5, -r-1)
	case "cross":
		path("stroke", "m%.1f %.1fl%.1f %.1fm0 %.1fl%.1f %.1f", -r, -r, 2*r, 2*r, -2*r, -2*r, 2*r)
	case "plus":
		path("stroke", "m0 %.1fv%.1fm%.1f %.1fh%.1f", -r-1, 2*r+2, -r-1, -r-1, 2*r+2)
	case "equals":
		path("stroke", "m%.1f %.1fh%.1fm%.1f %.1fh%.1f", -r-1, -r/2, 2*r+2, -2*r-2, r, 2*r+2)
	case "star":
		path("stroke", "m0 %.1fv%.1fm%.1f %.1fl%.1f %.1fm0 %.1fl%.1f %.1f", -r-1, 2*r+2, -r, -r-3, 2*r, r+1, -r-1, -2*r, r+1)
	default:
		c.printf(`<circle class="%s" cx="%.1f" cy="%.1f" r="%.1f"/>`+"\n", fill, x, y, r)
	}
}

// Style is the style sheet of the charts.
func Style() string {
	var light, dark strings.Builder
	for i, k := range inks() {
		fmt.Fprintf(&light, ".s%d{color:%s}\n", i, k.light)
		fmt.Fprintf(&dark, ".s%d{color:%s}\n", i, k.dark)
	}
	return chartStyle + light.String() + "@media (prefers-color-scheme:dark){\n" + darkStyle + dark.String() + "}\n"
}

const chartStyle = `.chart text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif;fill:#1f2328}
.chart text.quiet{fill:#59636e}
.chart text.strong{font-weight:600}
.chart text.title{font-size:15px;font-weight:600}
.chart text.small{font-size:11px;fill:#59636e}
.chart g text{fill:currentColor}
.chart .grid{stroke:#d1d9e0;stroke-width:1}
.chart .base{stroke:#59636e;stroke-width:1.5;stroke-dasharray:4 3}
.chart .paper{fill:#ffffff;stroke:#d1d9e0}
.chart .mark{fill:currentColor}
.chart .hollow{fill:#ffffff;stroke:currentColor;stroke-width:1.8}
.chart .bar{fill:currentColor}
.chart .stroke,.chart .curve,.chart .reach{fill:none;stroke:currentColor;stroke-width:2}
.chart .curve{stroke-linejoin:round}
.chart .sure{stroke:currentColor;stroke-width:3;opacity:.55}
.chart .reach{stroke-width:1;opacity:.8}
.chart .whisker{stroke:#1f2328;stroke-width:1}
.chart .lead{stroke:currentColor;stroke-width:1;opacity:.5}
`

const darkStyle = `.chart text{fill:#e6edf3}
.chart text.quiet,.chart text.small{fill:#9aa5b1}
.chart .grid{stroke:#3a424b}
.chart .base{stroke:#9aa5b1}
.chart .paper{fill:#0f141a;stroke:#3a424b}
.chart .whisker{stroke:#e6edf3}
.chart .hollow{fill:#0f141a}
`

// Legend names the targets beside their marks, for a page.
func Legend(targets []string) string {
	c := new(canvas)
	x, y := 10.0, 14.0
	for _, name := range targets {
		need := 14 + textWidth(name) + 14
		if x+need > width && x > 10 {
			x, y = 10, y+20
		}
		c.group(name, name, func() {
			c.mark(name, x, y)
			c.text("", "start", x+10, y+4, name)
		})
		x += need
	}
	return c.document(width, y+12, "Legend: "+strings.Join(targets, ", "))
}
