// SPDX-License-Identifier: Apache-2.0

// Package size measures what vethwayd costs and how long its requests take, on a host with many containers and ports.
package size

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/machine"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// Config is what Run needs.
type Config struct {
	// Containers are attached, and Ports published by one request while the memory is read.
	Containers, Ports int
	// More are further numbers of ports to publish by one request. With as many as the last, the daemon is started, and its memory
	// read.
	More []int
	// Crowd is how many containers there are, each with CrowdPorts, when attaching one of them is timed; 0: it is not.
	Crowd int
	// Rounds is how often each request is timed.
	Rounds int
	// Settle is how long the daemon is left alone before its memory is read.
	Settle time.Duration
	Log    *slog.Logger
}

// publishName is the result of publishing by one request of the API.
const publishName = "publish"

// attachLast is the result of attaching the last of many containers.
const attachLast = "attach-last"

// Budgets for what the defaults measure.
const (
	attachBudget = 10 * time.Second
	crowdBudget  = 50 * time.Millisecond
	memoryBudget = 60e6 // bytes
	flowsBudget  = 24   // MiB
	portBudget   = 1200 // bytes: a thousandth of what docker-proxy takes for a port

	// The budgets hold for this many.
	DefaultContainers = 100
	DefaultPorts      = 1000
	DefaultCrowd      = 470
	CrowdPorts        = 32
)

// publishBudgets are for that many ports by one request, whether they are published or withdrawn.
var publishBudgets = map[int]time.Duration{
	1000: 10 * time.Millisecond, 10000: 20 * time.Millisecond, 65000: 200 * time.Millisecond,
}

func (c *Config) check() error {
	switch {
	case c.Containers < 1 || c.Containers > 1000:
		return fmt.Errorf("%d containers: from 1 to 1000 fit a bridge", c.Containers)
	case c.Crowd != 0 && (c.Crowd < c.Containers || c.Crowd > 1000):
		return fmt.Errorf("a crowd of %d: want at least the %d containers, and at most 1000", c.Crowd, c.Containers)
	case c.Rounds < 1:
		return fmt.Errorf("%d rounds: at least one is needed", c.Rounds)
	}
	for _, n := range append([]int{c.Ports}, c.More...) {
		if n < 1 || n > 65535 {
			return fmt.Errorf("%d ports: there are from 1 to 65535", n)
		}
	}
	return nil
}

// Run builds a host in throw-away namespaces, measures a vethwayd of its own there and takes everything down.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	facts, err := machine.Gather(ctx)
	if err != nil {
		return nil, err
	}
	facts.Settings.Rounds = cfg.Rounds
	cfg.Log.Info("build", "containers", cfg.Containers)
	s, err := build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r := &Report{Machine: facts}
	for _, step := range []func(context.Context, *Report) error{s.attachAll, s.memory, s.flows, s.leastFlows, s.publishAll, s.full, s.eachPort, s.crowd} {
		if err := step(ctx, r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// attachAll times attaching all containers, one request each, and leaves them attached.
func (s *site) attachAll(ctx context.Context, r *Report) error {
	var samples []float64
	for round := range s.cfg.Rounds {
		s.cfg.Log.Info("attach", "containers", s.cfg.Containers, "round", round+1)
		took, err := timed(func() error { return s.attach(ctx) })
		if err != nil {
			return err
		}
		samples = append(samples, took.Seconds())
		if round+1 < s.cfg.Rounds {
			if err := s.detach(ctx); err != nil {
				return err
			}
		}
	}
	res := result("attach", fmt.Sprintf("attach %s containers, one request each", grouped(s.cfg.Containers)), "s", samples)
	if s.cfg.Containers == DefaultContainers {
		res.Budget = attachBudget.Seconds()
	}
	r.Results = append(r.Results, res)
	return nil
}

func result(name, what, unit string, samples []float64) Result {
	sum := stats.Summarize(samples)
	return Result{Name: name, What: what, Unit: unit, Median: sum.Median, Min: sum.Min, Max: sum.Max, Samples: samples}
}

func timed(f func() error) (time.Duration, error) {
	began := time.Now()
	err := f()
	return time.Since(began), err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
