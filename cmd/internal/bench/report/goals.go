// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/vethway/vethway/cmd/internal/cli/output"
)

// GoalTable is the table of goals: what is wanted, what was measured, and whether it is enough.
func (r *Report) GoalTable() *output.Table {
	table := output.NewTable("GOAL", "OWN", "RIVAL'S", "VALUE", "SPREAD", "WANTED", "STATE", "LIMIT", "OF IT", "DIRECT", "OF IT", "NOTE")
	group := ""
	for _, g := range r.Goals {
		if g.Group != group {
			group = g.Group
			table.Row(strings.ToUpper(group[:1])+group[1:]+":", "", "", "", "", "", "", "", "", "", "", "")
		}
		t := g.Text()
		table.Row("  "+g.Name, t.Own, t.Theirs, t.Value, t.Spread, t.Wanted, g.State,
			t.Limit, t.OfLimit, t.Direct, t.OfDirect, g.Note)
	}
	return table
}

// GoalText is the figures of a goal as a table has them; what there is not is empty.
type GoalText struct {
	Own, Theirs, Value, Spread, Wanted string
	// What the limit, with its name, and a bare veth reached in place of Value, and our part of it.
	Limit, OfLimit, Direct, OfDirect string
}

// Text writes out the figures.
func (g Goal) Text() GoalText {
	t := GoalText{
		Own: withUnit(g.Own, g.Unit), Theirs: withUnit(g.Theirs, g.Unit), Value: g.value(g.Value), Spread: g.spread(), Wanted: g.wanted(),
	}
	if t.Limit, t.OfLimit = g.limit(g.Limit); t.Limit != "" {
		t.Limit = g.Limit.Target + " " + t.Limit
	}
	t.Direct, t.OfDirect = g.limit(g.Direct)
	return t
}

func (g Goal) limit(l *Limit) (value, share string) {
	if l == nil {
		return "", ""
	}
	return g.value(l.Value), l.Part()
}

// Part is the judged figure by the limit's: "97 %", or "17.8 times" where that says more.
func (l Limit) Part() string {
	if l.Share.Median >= 2 {
		return fmt.Sprintf("%.1f times", l.Share.Median)
	}
	return fmt.Sprintf("%.0f %%", math.Round(100*l.Share.Median))
}

// WriteGoals writes it for a person, with the sum below.
func (r *Report) WriteGoals(w io.Writer) error {
	if len(r.Goals) == 0 {
		return nil
	}
	var table bytes.Buffer
	if err := r.GoalTable().WriteAligned(&table); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		// The heading of a group has the line for itself.
		if head, empty, ok := strings.Cut(line, ": "); ok && strings.Trim(empty, "- \n") == "" {
			line = head + ":\n"
		}
		if _, err := io.WriteString(w, line); err != nil {
			return fmt.Errorf("print goals: %w", err)
		}
	}
	if _, err := io.WriteString(w, "\nLIMIT is the least that anybody has to do, measured in the same rounds; DIRECT a veth without a host.\n"+r.goalSum()+"\n"); err != nil {
		return fmt.Errorf("print goals: %w", err)
	}
	return nil
}

// goalSum is how many goals are in which state.
func (r *Report) goalSum() string {
	count, within := make(map[string]int), 0
	for _, g := range r.Goals {
		count[g.State]++
		if g.State == Missed && g.Within() {
			within++
		}
	}
	return fmt.Sprintf("%d goals: %d met, %d missed (%d of them within the spread), %d limited by what the kernel gives, %d not measured by this run.",
		len(r.Goals), count[Met], count[Missed], within, count[Limited], count[Unmeasured])
}

// Within says whether a goal that the median misses lies within the spread: more rounds might tell whether it is met.
func (g Goal) Within() bool {
	if g.AtMost {
		return g.Low != 0 && g.Low <= g.Want
	}
	return g.High >= g.Want
}

func withUnit(v float64, unit string) string {
	if v == 0 {
		return ""
	}
	return Figure(v) + " " + unit
}

// ratio says whether the value is a quotient of two figures.
func (g Goal) ratio() bool { return g.Value != g.Own }

func (g Goal) value(v float64) string {
	switch {
	case v == 0:
		return ""
	case g.ratio():
		return fmt.Sprintf("%.2fx", v)
	}
	return Figure(v) + " " + g.Unit
}

func (g Goal) spread() string {
	switch {
	case g.Low == 0 && g.High == 0:
		return ""
	case g.ratio():
		return fmt.Sprintf("%.2f to %.2f", g.Low, g.High)
	}
	return Figure(g.Low) + " to " + Figure(g.High)
}

func (g Goal) wanted() string {
	bound := "at least "
	if g.AtMost {
		bound = "at most "
	}
	if g.Value == 0 || g.ratio() {
		return bound + fmt.Sprintf("%.2f", g.Want)
	}
	return bound + Figure(g.Want) + " " + g.Unit
}
