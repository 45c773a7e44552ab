// SPDX-License-Identifier: Apache-2.0

// Package run carries out a benchmark: it builds the targets side by side and sends the same traffic through them in turn.
package run

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/test/rivals"
)

// Plan is what to measure, and how long.
type Plan struct {
	Cells   []Cell
	Targets []target.Maker
	Series  []Series

	Rounds int
	// Builds is how often the targets are built for the cells, each time for a part of the rounds.
	Builds int
	Sample time.Duration
	Warmup time.Duration
	// Programs has the BPF programs timed by themselves.
	Programs bool
	// CrossCheck has iperf3 measure the streams too, if it is installed.
	CrossCheck bool
}

// Cell is one comparison: every target takes its turn in it, round by round.
type Cell struct {
	Scenario target.Scenario
	Workload workload.Workload
	Family   rivals.Family
	// CPUs is the number of processors that client and server get together.
	CPUs int
	// Without names targets that take no part in it.
	Without []string
}

func (c Cell) String() string {
	return fmt.Sprintf("%s %s %s on %s", c.Scenario, c.Workload.Name, c.Family, cpuWords(c.CPUs))
}

// splices says whether data goes from socket to socket by a target that splices so much. Of connections that end with their answer nobody asks.
func (c Cell) splices(which target.Splicing) bool {
	switch which {
	case target.SplicePolling:
		streams, out := c.Workload.Streams()
		answered := streams == 0 || out
		return c.Workload.Polls && (c.Scenario == target.ContainerToContainer || answered && c.Scenario.Local())
	case target.SpliceAll:
		return c.Workload.Proto == "tcp" && !c.Workload.Fresh && c.Scenario != target.Published && c.Scenario != target.Masquerade
	}
	return false
}

func cpuWords(n int) string {
	if n == 1 {
		return "1 CPU"
	}
	return fmt.Sprintf("%d CPUs", n)
}

// Cross lists every combination that makes sense.
func Cross(scenarios []target.Scenario, workloads []workload.Workload, families []rivals.Family, cpus []int) []Cell {
	var cells []Cell
	for _, n := range cpus {
		for _, family := range families {
			for _, scenario := range scenarios {
				for _, w := range workloads {
					if w.Fits(scenario, n) {
						cells = append(cells, Cell{Scenario: scenario, Workload: w, Family: family, CPUs: n})
					}
				}
			}
		}
	}
	return cells
}

// Validate says what is wrong with a plan, before anything is built for it.
func (p Plan) Validate() error {
	switch {
	case len(p.Cells) == 0 && len(p.Series) == 0 && !p.Programs, len(p.Targets) == 0:
		return errors.New("plan a benchmark: nothing to measure")
	case p.Rounds < 1:
		return fmt.Errorf("plan a benchmark: %d rounds: at least one is needed", p.Rounds)
	case p.Builds < 1 || p.Builds > p.Rounds:
		return fmt.Errorf("plan a benchmark: %d builds for %d rounds: at least one is needed, and a round for each", p.Builds, p.Rounds)
	case p.Sample <= 0 || p.Warmup < 0:
		return fmt.Errorf("plan a benchmark: samples of %v after %v are out of range", p.Sample, p.Warmup)
	}
	allowed, err := traffic.AllowedCPUs()
	if err != nil {
		return fmt.Errorf("plan a benchmark: %w", err)
	}
	for _, c := range p.Cells {
		if c.CPUs < 1 || c.CPUs > len(allowed) {
			return fmt.Errorf("plan a benchmark: %s asked for, this process may use %d", cpuWords(c.CPUs), len(allowed))
		}
	}
	return nil
}

// building is what it takes to make a target and to take it down, as seen on a small virtual machine.
const building = 500 * time.Millisecond

// part is how many of the rounds one build has: those that are left over are the first ones'.
func (p Plan) part(build int) int {
	n := p.Rounds / p.Builds
	if build < p.Rounds%p.Builds {
		n++
	}
	return n
}

// Duration estimates how long the plan takes.
func (p Plan) Duration() time.Duration {
	// Threads, connections and the reading of clocks, as seen on a small virtual machine.
	const overhead = 15 * time.Millisecond
	samples := 0
	for _, c := range p.Cells {
		samples += (len(p.Targets) - len(c.Without)) * p.Rounds
	}
	each := p.Sample + p.Warmup + overhead
	all := time.Duration(samples)*each + time.Duration(p.Builds*len(p.Targets))*building
	for _, s := range p.Series {
		all += s.duration(each)
	}
	if p.CrossCheck {
		for _, c := range p.Cells {
			if checkable(c) {
				all += time.Duration(checkPairs*len(slices.DeleteFunc(slices.Clone(p.Targets), unchecked))) * (p.Sample + 2*time.Second)
			}
		}
	}
	return all
}

// steps is how many comparisons there are.
func (p Plan) steps() int {
	n := p.Builds * len(p.Cells)
	if p.Programs {
		n++
	}
	if p.CrossCheck {
		n++
	}
	for _, s := range p.Series {
		n += len(s.Points) * s.steps()
	}
	return n
}

// processors picks the CPUs that a cell may use: the last ones, since interrupts tend to be on the first.
func processors(n int) ([]int, error) {
	allowed, err := traffic.AllowedCPUs()
	if err != nil {
		return nil, err
	}
	if n > len(allowed) {
		return nil, fmt.Errorf("%s asked for, this process may use %d", cpuWords(n), len(allowed))
	}
	return allowed[len(allowed)-n:], nil
}

// order is whose turn it is in a round. Whoever goes first may find the caches and the clock of the CPU in another state
// than who goes second, so the row begins one further each round, and every other round runs backwards: over all rounds
// each target has had each place, and each neighbour before it and behind it.
func order(targets, round int) []int {
	row := make([]int, targets)
	for i := range row {
		row[i] = (i + round) % targets
		if round%2 == 1 {
			row[i] = (round - i + targets*round) % targets
		}
	}
	return row
}
