// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/test/rivals"
)

// curve is a series of a preset. Its cells are of the published port unless they name another scenario before a colon.
type curve struct {
	axis    run.Axis
	points  []int
	cells   string
	targets string
	most    map[string]int
	beside  string // measured again at every point as it was at the first
	rounds  int
	last    int // rounds of the last point
	creates int
}

// own is the target whose growth is judged.
const own = "vethway"

// hasty shows where iptables ends up, and no more.
func hasty() []curve {
	return []curve{{axis: run.Ports, points: []int{1, 10000}, cells: "crr", targets: "vethway iptables", beside: own, rounds: 3}}
}

// steady draws each curve with the default's rivals. Connection tracking holds 262,144 flows unless the machine says otherwise, and
// drops unanswered ones before it is full, so the rivals' curve over flows ends before vethway's. Tens of thousands of rules one after the other would show nothing that ten thousand do not.
func steady() []curve {
	// What differs by a hundredth or two takes many rounds to be told from nothing.
	const rounds, last, rivals = 5, 15, "vethway iptables nftables"
	listed := map[string]int{"iptables": 10000, "iptables-legacy": 10000, "nftables-linear": 10000}
	tracked := map[string]int{"iptables": 200000, "iptables-legacy": 200000, "nftables-linear": 200000, "nftables": 200000}
	return []curve{
		{axis: run.Ports, points: []int{1, 100, 1000, 10000, 65000}, cells: "crr udp-new", targets: rivals + " redirect least-nat", most: listed, beside: own, rounds: rounds, last: last},
		{axis: run.Flows, points: []int{1, 1000, 10000, 100000, 200000, 500000}, cells: "rr udp", targets: rivals, most: tracked, beside: own, rounds: rounds, last: last},
		{axis: run.Containers, points: []int{2, 100, 470}, cells: "crr c2c:rr", targets: "vethway iptables", rounds: rounds, creates: 2},
		{axis: run.Rules, points: []int{1, 100, 1000}, cells: "rr crr", targets: rivals, rounds: rounds},
	}
}

// thorough is steady with every rival that has rules.
func thorough() []curve {
	curves := steady()
	for i := range curves {
		curves[i].targets += " iptables-legacy nftables-linear"
		curves[i].rounds = 11
		if curves[i].axis == run.Rules {
			curves[i].points = append(curves[i].points, 10000)
		}
	}
	return curves
}

// series are those that the plan has: by a preset, or by name.
func (o *runOptions) planSeries(cmd *cobra.Command) ([]run.Series, error) {
	curves := steady()
	switch {
	case o.quick:
		curves = hasty()
	case o.full:
		curves = thorough()
	}
	if cmd.Flags().Changed("series") {
		if o.quick {
			curves = steady() // what is named is there
		}
		chosen, err := chooseCurves(curves, o.series)
		if err != nil {
			return nil, err
		}
		curves = chosen
	} else if o.partial {
		return nil, nil
	}
	var list []run.Series
	for _, c := range curves {
		s, err := c.series(o.targets)
		if err != nil {
			return nil, err
		}
		if o.quick {
			s.Rounds, s.LastRounds = min(s.Rounds, 3), 0
		}
		list = append(list, s)
	}
	return list, nil
}

func chooseCurves(curves []curve, names []string) ([]curve, error) {
	if slices.Equal(names, []string{"none"}) {
		return nil, nil
	}
	for _, name := range names {
		if !slices.Contains(run.Axes(), run.Axis(name)) {
			var all []string
			for _, a := range run.Axes() {
				all = append(all, string(a))
			}
			return nil, fmt.Errorf("no series %q: use %s or none", name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(curves, func(c curve) bool { return !slices.Contains(names, string(c.axis)) }), nil
}

// series turns the curve into what a plan wants, with the targets that were named if any were.
func (c curve) series(targets []string) (run.Series, error) {
	if len(targets) == 0 {
		targets = strings.Fields(c.targets)
	}
	makers, err := target.Choose(targets)
	if err != nil {
		return run.Series{}, err
	}
	s := run.Series{Axis: c.axis, Points: c.points, Targets: makers, Most: c.most, Beside: c.beside, Rounds: c.rounds, LastRounds: c.last, Creates: c.creates}
	for _, name := range strings.Fields(c.cells) {
		scenario, name, ok := strings.Cut(name, ":")
		if !ok {
			scenario, name = string(target.Published), scenario
		}
		workloads, err := workload.Choose([]string{name})
		if err != nil {
			return run.Series{}, err
		}
		s.Cells = append(s.Cells, run.Cell{Scenario: target.Scenario(scenario), Workload: workloads[0], Family: rivals.IPv4, CPUs: 1})
	}
	return s, nil
}
