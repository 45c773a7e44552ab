// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

// facts are the head of the page: what the reader needs to know to judge the figures.
func facts(r *report.Report) []fact {
	m := r.Machine
	var list []fact
	add := func(name, value string) {
		if value != "" {
			list = append(list, fact{name, value})
		}
	}
	add("measured", m.Time)
	add("kernel", m.Kernel)
	add("CPU", processor(m))
	add("governor", m.Governor)
	add("load before", m.Load)
	add("rounds", rounds(m.Settings))
	add("congestion control", m.Settings.CongestionControl)
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		add(name, m.Versions[name])
	}
	return list
}

func processor(m report.Machine) string {
	if m.CPU == "" {
		return ""
	}
	kind := ""
	if m.Virtual {
		kind = ", virtual machine"
	}
	return fmt.Sprintf("%s, %d cores%s", m.CPU, m.Cores, kind)
}

func rounds(s report.Settings) string {
	if s.Rounds == 0 {
		return ""
	}
	text := s.Taken() + ", interleaved: every target once in each round"
	if s.SampleSeconds > 0 {
		text += fmt.Sprintf("; %s s each after %s s of warming up", report.Figure(s.SampleSeconds), report.Figure(s.WarmupSeconds))
	}
	return text
}

// fairShare is how much of its CPU the traffic must have had for the page not to warn.
const fairShare = 0.9

// warning tells how many figures were disturbed by other programs.
func warning(r *report.Report) string {
	disturbed, pinned, least := 0, 0, 1.0
	for _, result := range r.Results {
		if result.CPUs != 1 || result.Share == 0 {
			continue
		}
		pinned++
		if result.Share < fairShare {
			disturbed++
			least = min(least, result.Share)
		}
	}
	if disturbed == 0 {
		return ""
	}
	return fmt.Sprintf("Other programs used this machine meanwhile: in %d of %d results on one CPU the traffic had less than %.0f %% of it, "+
		"the least %.0f %%. The goals of such results compare what a second of CPU time carried.", disturbed, pinned, 100*fairShare, 100*least)
}

// goals are the table, group by group.
type goals struct {
	Met, Missed, Limited, Unmeasured, All int
	Groups                                []goalGroup
}

type goalGroup struct {
	Name  string
	Goals []goalLine
}

type goalLine struct {
	report.Goal
	Text report.GoalText
	Sign string
}

func judged(list []report.Goal) goals {
	v := goals{All: len(list)}
	for _, g := range list {
		sign := "–"
		switch g.State {
		case report.Met:
			v.Met++
			sign = "✓"
		case report.Missed:
			v.Missed++
			sign = "✗"
		case report.Limited:
			v.Limited++
			sign = "≈"
		default:
			v.Unmeasured++
		}
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Name != g.Group {
			v.Groups = append(v.Groups, goalGroup{Name: g.Group})
		}
		last := &v.Groups[len(v.Groups)-1]
		last.Goals = append(last.Goals, goalLine{Goal: g, Text: g.Text(), Sign: sign})
	}
	return v
}

// scenarioName is what a reader calls a scenario.
func scenarioName(name string) string {
	switch name {
	case "published":
		return "Published port"
	case "masquerade":
		return "Masquerade"
	case "c2c":
		return "Container to container"
	case "host":
		return "Host to published port"
	case "loopback":
		return "127.0.0.1 to published port"
	case "hairpin":
		return "Hairpin"
	case "publish":
		return "Publishing"
	case "create":
		return "Creating a container"
	case "memory":
		return "Memory"
	case "":
		return "Unnamed"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func familyName(f int) string {
	if f == 0 {
		return "–"
	}
	return fmt.Sprintf("IPv%d", f)
}
