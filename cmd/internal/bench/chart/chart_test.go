// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// texts parses a drawing and lists what is written in it; marks that lie outside of it are errors.
func texts(t *testing.T, svg string) []string {
	t.Helper()
	var list []string
	var width, height float64
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" {
				list = append(list, s)
			}
		case xml.StartElement:
			for _, a := range token.Attr {
				if token.Name.Local == "svg" && a.Name.Local == "viewBox" {
					box := strings.Fields(a.Value)
					width, height = number(t, box[2]), number(t, box[3])
				}
				if slices.Contains([]string{"x", "x1", "x2", "cx"}, a.Name.Local) && outside(number(t, a.Value), width) ||
					slices.Contains([]string{"y", "y1", "y2", "cy"}, a.Name.Local) && outside(number(t, a.Value), height) {
					t.Errorf("%s has %s=%s, outside of %.0f x %.0f", token.Name.Local, a.Name.Local, a.Value, width, height)
				}
			}
		}
	}
}

func outside(v, end float64) bool { return math.IsNaN(v) || v < 0 || v > end }

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustHave(t *testing.T, svg string, want ...string) {
	t.Helper()
	have := texts(t, svg)
	for _, w := range want {
		if !slices.Contains(have, w) {
			t.Errorf("%q is not written in the chart, which has %q", w, have)
		}
	}
}

func rows() []Row {
	return []Row{{Name: "rr", Note: "iptables 48000 transactions/s", Dots: []Dot{
		{Target: "vethway", Value: 1.4, Low: 1.3, High: 1.5, Smallest: 1.1, Largest: 9, Rounds: 11},
		{Target: "a<b", Value: 0.2, Low: 0.1, High: 0.3, Smallest: 0.1, Largest: 0.3},
	}}, {Name: "udp", Dots: []Dot{{Target: "direct", Value: 3.2, Low: 3.1, High: 3.3, Smallest: 3, Largest: 4}}}}
}

func TestRatios(t *testing.T) {
	svg := Ratios{Title: "t & u", Baseline: "iptables", Rows: rows()}.SVG()
	mustHave(t, svg, "rr", "udp", "iptables 48000 transactions/s", "vethway", "a<b", "direct", "1.40 (1.30–1.50)",
		"0.20 (0.10–0.30)", "3.20 (3.10–3.30)", "times iptables, same round", "0", "1", "2", "3")
	if !strings.Contains(svg, `aria-label="t &amp; u"`) {
		t.Error("the chart has no name")
	}
	texts(t, Ratios{}.SVG())
	texts(t, Ratios{Rows: []Row{{Name: "x", Dots: []Dot{{Target: "y", Value: math.NaN(), High: math.Inf(1)}}}}}.SVG())
}

func TestOverview(t *testing.T) {
	o := Overview{
		Title: "Speed", Subtitle: "Longer is faster", Baseline: "iptables", Targets: []string{"vethway", "direct"},
		Panels: []Panel{{"Published port", rows()}, {"Masquerade", rows()[1:]}, {"Container to container", rows()}},
		Notes:  []string{"Medians of 11 rounds."},
	}
	mustHave(t, o.SVG(), "Speed", "Longer is faster", "vethway", "direct", "iptables = 1", "Published port", "Masquerade",
		"Container to container", "rr", "udp", "1.40", "times iptables", "Medians of 11 rounds.")
	texts(t, Overview{}.SVG())
}

func TestLines(t *testing.T) {
	l := Lines{Title: "growth", X: "ports", Y: "connections/s", YLog: true, Series: []Series{
		{Target: "vethway", Points: []Point{{0, 10000, 9000, 11000}, {1, 10000, 9000, 11000}, {1000, 9900, 9000, 10500}, {65000, 9800, 9000, 11000}}},
		{Target: "iptables", Points: []Point{{1, 7000, 6900, 7100}, {10000, 300, 290, 310}}},
		{Target: "nothing"},
	}}
	mustHave(t, l.SVG(), "vethway", "iptables", "ports", "connections/s", "0", "1", "10", "100", "1k", "65k", "10k")
	if svg := (Lines{Series: []Series{{Target: "x"}}}).SVG(); svg != "" {
		t.Errorf("a chart of nothing: %s", svg)
	}
	texts(t, Lines{Series: []Series{{Target: "x", Points: []Point{{X: 1, Y: 0}}}}}.SVG())
}

// However many lines end at one place, each name has a line of text for itself.
func TestNamesKeepApart(t *testing.T) {
	var l Lines
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		l.Series = append(l.Series, Series{Target: name, Points: []Point{{X: 1, Y: 5}, {X: 10, Y: 0.1}}})
	}
	c := new(canvas)
	x, y, _ := l.scales()
	c.labels(l.Series, x, y)
	var places []float64
	for _, line := range strings.Split(c.b.String(), "\n") {
		if _, rest, ok := strings.Cut(line, ` y="`); ok {
			place, _, _ := strings.Cut(rest, `"`)
			places = append(places, number(t, place))
		}
	}
	slices.Sort(places)
	if len(places) != len(l.Series) {
		t.Fatalf("%d names of %d", len(places), len(l.Series))
	}
	for i := 1; i < len(places); i++ {
		if places[i]-places[i-1] < labelStep-0.11 {
			t.Errorf("names at %.1f and %.1f overlap", places[i-1], places[i])
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		s    scale
		want []float64
	}{
		{scale{low: 0, high: 1.6}, []float64{0, 0.5, 1, 1.5}},
		{scale{low: 0, high: 0}, []float64{0}},
		{scale{low: 8, high: 90, log: true}, []float64{10, 20, 50}},
		{scale{low: 0.9, high: 20000, log: true}, []float64{1, 10, 100, 1000, 10000}},
	} {
		got := c.s.ticks()
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }) {
			t.Errorf("ticks of %+v are %v, want %v", c.s, got, c.want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.30000000000000004: "0.3", 20: "20", 5000: "5k", 1.5e6: "1.5M", 2e9: "2G"} {
		if got := short(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

// No target looks like another: by its mark, and those of a README by their colours too.
func TestInksDiffer(t *testing.T) {
	var names []string
	marks, colours := make(map[string]string), make(map[string]string)
	for i, k := range inks() {
		names = append(names, k.target)
		if slot(k.target) != i {
			t.Errorf("%s has slot %d, want %d", k.target, slot(k.target), i)
		}
		mark := fmt.Sprint(k.mark, k.hollow)
		if other, taken := marks[mark]; taken {
			t.Errorf("%s has the mark of %s", k.target, other)
		}
		for _, colour := range []string{k.light, k.dark} {
			if other, taken := colours[colour]; taken {
				t.Errorf("%s has the colour of %s", k.target, other)
			}
			colours[colour] = k.target
		}
		marks[mark] = k.target
	}
	mustHave(t, Legend(names), names...)
	if s := slot("something new"); s < 0 || s >= len(inks()) {
		t.Errorf("slot %d", s)
	}
}

// The longest of names does not reach into the plot, nor out of the chart.
func TestRoomForNames(t *testing.T) {
	name := "iptables-plain-bridge"
	if need := column([]string{"x", name}, 10); need < 6.5*float64(len(name)) {
		t.Errorf("%.0f for %d characters", need, len(name))
	}
	points := []Point{{X: 1, Y: 1}, {X: 10, Y: 2}}
	x, _, _ := Lines{Series: []Series{{Target: name, Points: points}}}.scales()
	if x.to+13+textWidth(name) > width {
		t.Errorf("a name begins at %.0f", x.to+13)
	}
}
