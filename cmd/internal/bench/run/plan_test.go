// SPDX-License-Identifier: Apache-2.0

package run

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/test/rivals"
)

func examplePlan(t *testing.T) Plan {
	t.Helper()
	workloads, err := workload.Choose([]string{"rr", "limit"})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := target.Choose([]string{"direct"})
	if err != nil {
		t.Fatal(err)
	}
	cells := Cross([]target.Scenario{target.Published, target.Host}, workloads, []rivals.Family{rivals.IPv4, rivals.IPv6}, []int{1, 2})
	return Plan{Cells: cells, Targets: targets, Rounds: 5, Builds: 1, Sample: 85 * time.Millisecond}
}

// The forwarding limit needs a veth to send on, and one CPU.
func TestCross(t *testing.T) {
	plan := examplePlan(t)
	var got []string
	for _, c := range plan.Cells {
		got = append(got, c.String())
	}
	want := []string{
		"published rr ipv4 on 1 CPU", "published limit ipv4 on 1 CPU", "host rr ipv4 on 1 CPU",
		"published rr ipv6 on 1 CPU", "published limit ipv6 on 1 CPU", "host rr ipv6 on 1 CPU",
		"published rr ipv4 on 2 CPUs", "host rr ipv4 on 2 CPUs", "published rr ipv6 on 2 CPUs", "host rr ipv6 on 2 CPUs",
	}
	if !slices.Equal(got, want) {
		t.Errorf("cells:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := plan.Duration(), 10*5*100*time.Millisecond+building; got != want {
		t.Errorf("Duration = %v, want %v", got, want)
	}
}

func TestValidate(t *testing.T) {
	if err := examplePlan(t).Validate(); err != nil {
		t.Errorf("a good plan is refused: %v", err)
	}
	for name, tc := range map[string]struct {
		change func(*Plan)
		want   string
	}{
		"no cell":    {func(p *Plan) { p.Cells = nil }, "nothing to measure"},
		"no rounds":  {func(p *Plan) { p.Rounds = 0 }, "0 rounds: at least one is needed"},
		"no time":    {func(p *Plan) { p.Sample = 0 }, "out of range"},
		"no CPU":     {func(p *Plan) { p.Cells[0].CPUs = 0 }, "0 CPUs asked for"},
		"many CPUs":  {func(p *Plan) { p.Cells[1].CPUs = 4096 }, "4096 CPUs asked for"},
		"no targets": {func(p *Plan) { p.Targets = nil }, "nothing to measure"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := examplePlan(t)
			tc.change(&plan)
			if err := plan.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate = %v, want %q", err, tc.want)
			}
		})
	}
}

// Nobody has an advantage by the order: over twice as many rounds as there are targets each has every place equally
// often, and comes as often before another as behind it.
func TestOrder(t *testing.T) {
	for targets := 1; targets <= 7; targets++ {
		places := make(map[[2]int]int)
		before := make(map[[2]int]int)
		rounds := 2 * targets
		for round := range rounds {
			row := order(targets, round)
			if sorted := slices.Sorted(slices.Values(row)); !slices.Equal(sorted, span(targets)) {
				t.Fatalf("round %d of %d targets: %v", round, targets, row)
			}
			for place, who := range row {
				places[[2]int{who, place}]++
				for _, later := range row[place+1:] {
					before[[2]int{who, later}]++
				}
			}
		}
		for who := range targets {
			for place := range targets {
				if got := places[[2]int{who, place}]; got != 2 {
					t.Errorf("%d targets: target %d has place %d in %d rounds", targets, who, place, got)
				}
			}
			for other := range targets {
				if got := before[[2]int{who, other}]; who != other && got != rounds/2 {
					t.Errorf("%d targets: target %d goes before %d in %d of %d rounds", targets, who, other, got, rounds)
				}
			}
		}
	}
}

func span(n int) []int {
	var all []int
	for i := range n {
		all = append(all, i)
	}
	return all
}

// For vethway data has to come from a container: a stream that a process of the host sends is not spliced. The least that splices does not look.
func TestSplices(t *testing.T) {
	for _, tc := range []struct {
		which   target.Splicing
		yes, no string
	}{
		{target.SpliceNone, "", "c2c rr, c2c rr-poll, host rr-poll"},
		{
			target.SplicePolling, "c2c rr-poll, c2c stream-in-poll, host rr-poll, loopback rr-poll",
			"c2c rr, host stream-in-poll, published rr-poll, masquerade rr-poll, hairpin rr-poll",
		},
		{
			target.SpliceAll, "c2c rr-poll, c2c rr, c2c stream-in, host rr, host stream-in-poll, host stream-out, hairpin rr-poll, other-network rr",
			"published rr-poll, masquerade stream-in, c2c crr, host crr, c2c udp, c2c udp-new, c2c limit",
		},
	} {
		for want, cells := range map[bool]string{true: tc.yes, false: tc.no} {
			for cell := range strings.SplitSeq(cells, ", ") {
				scenario, name, _ := strings.Cut(cell, " ")
				if cell == "" {
					continue
				}
				w, err := workload.Choose([]string{name})
				if err != nil {
					t.Fatal(err)
				}
				if c := (Cell{Scenario: target.Scenario(scenario), Workload: w[0]}); c.splices(tc.which) != want {
					t.Errorf("%s, of kind %d: %v, want %v", cell, tc.which, !want, want)
				}
			}
		}
	}
}
