// SPDX-License-Identifier: Apache-2.0

// Package run carries out a benchmark: it builds the targets side by side and sends the same traffic through them in turn.
package run

import (
	"errors"
	"fmt"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/test/rivals"
)

// Plan is what to measure, and how long.
type Plan struct {
	Scenarios []target.Scenario
	Workloads []workload.Workload
	Families  []rivals.Family
	// CPUs are the numbers of processors that client and server get together.
	CPUs    []int
	Targets []target.Maker

	Rounds int
	Sample time.Duration
	Warmup time.Duration
}

// cell is one comparison: every target takes its turn in it, round by round.
type cell struct {
	scenario target.Scenario
	workload workload.Workload
	family   rivals.Family
	cpus     int
}

func (c cell) String() string {
	return fmt.Sprintf("%s %s %s on %s", c.scenario, c.workload.Name, c.family, cpuWords(c.cpus))
}

func cpuWords(n int) string {
	if n == 1 {
		return "1 CPU"
	}
	return fmt.Sprintf("%d CPUs", n)
}

func (p Plan) validate() error {
	switch {
	case len(p.Scenarios) == 0, len(p.Workloads) == 0, len(p.Families) == 0, len(p.CPUs) == 0, len(p.Targets) == 0:
		return errors.New("plan a benchmark: nothing to measure")
	case p.Rounds < 1:
		return fmt.Errorf("plan a benchmark: %d rounds: at least one is needed", p.Rounds)
	case p.Sample <= 0 || p.Warmup < 0:
		return fmt.Errorf("plan a benchmark: samples of %v after %v are out of range", p.Sample, p.Warmup)
	}
	allowed, err := traffic.AllowedCPUs()
	if err != nil {
		return fmt.Errorf("plan a benchmark: %w", err)
	}
	for _, n := range p.CPUs {
		if n < 1 || n > len(allowed) {
			return fmt.Errorf("plan a benchmark: %s asked for, this process may use %d", cpuWords(n), len(allowed))
		}
	}
	return nil
}

func (p Plan) cells() []cell {
	var cells []cell
	for _, cpus := range p.CPUs {
		for _, family := range p.Families {
			for _, scenario := range p.Scenarios {
				for _, w := range p.Workloads {
					cells = append(cells, cell{scenario, w, family, cpus})
				}
			}
		}
	}
	return cells
}

// Duration estimates how long the plan takes.
func (p Plan) Duration() time.Duration {
	// Threads, connections and the reading of clocks, as seen on a small virtual machine.
	const overhead = 15 * time.Millisecond
	samples := len(p.cells()) * len(p.Targets) * p.Rounds
	return time.Duration(samples) * (p.Sample + p.Warmup + overhead)
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
