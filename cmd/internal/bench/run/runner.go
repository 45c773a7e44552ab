// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/machine"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
)

// fairShare is how much of its one CPU the traffic must have had for an absolute figure to mean something. The ratios
// bear more, since others disturb all targets alike.
const fairShare = 0.9

// Config is what a runner needs.
type Config struct {
	Plan      Plan
	Options   target.Options
	Generator *traffic.Generator
	Log       *slog.Logger
	// Progress is told before each round; nil is allowed.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Cell        string
	Number, All int
	Round       int
	Rounds      int
	Left        time.Duration
}

type runner struct {
	Config
	sites []target.Site
}

// Run carries out the plan and returns what was measured. Single samples may fail: the report says so, and the error is
// nil as long as each target has at least one good sample in each cell that it takes part in. The report is good for
// what it holds even when the error is not nil, unless it is nil itself.
func Run(ctx context.Context, cfg Config) (_ *report.Report, err error) {
	if err := cfg.Plan.validate(); err != nil {
		return nil, err
	}
	r := &runner{Config: cfg}
	defer func() { err = errors.Join(err, r.close()) }()
	facts, err := machine.Gather(ctx)
	if err != nil {
		return nil, err
	}
	facts.Settings = report.Settings{
		Rounds: cfg.Plan.Rounds, SampleSeconds: cfg.Plan.Sample.Seconds(), WarmupSeconds: cfg.Plan.Warmup.Seconds(),
		CongestionControl: traffic.CongestionControl,
	}
	if err := r.build(ctx); err != nil {
		return nil, err
	}
	rep := &report.Report{Machine: facts}
	var errs []error
	for i, c := range cfg.Plan.cells() {
		results, err := r.measure(ctx, c, i)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("benchmark stopped: %w", context.Cause(ctx))
		}
		errs = append(errs, err)
		rep.Results = append(rep.Results, results...)
	}
	rep.Machine.Targets, err = r.describe(ctx)
	return rep, errors.Join(append(errs, err)...)
}

func (r *runner) build(ctx context.Context) error {
	for _, m := range r.Plan.Targets {
		r.Log.Debug("build target", "target", m.Name)
		site, err := m.Make(ctx, r.Options)
		if err != nil {
			return err
		}
		r.sites = append(r.sites, site)
	}
	return nil
}

// measure fills one cell: A B C A B C ..., so that whatever disturbs the machine for a while disturbs all alike.
func (r *runner) measure(ctx context.Context, c cell, number int) ([]report.Result, error) {
	turns, err := r.turns(c)
	if err != nil {
		return nil, err
	}
	for round := range r.Plan.Rounds {
		if r.Progress != nil {
			done := float64(number) + float64(round)/float64(r.Plan.Rounds)
			cells := len(r.Plan.cells())
			left := float64(r.Plan.Duration()) * (1 - done/float64(cells))
			r.Progress(Progress{
				Cell: c.String(), Number: number + 1, All: cells, Round: round + 1, Rounds: r.Plan.Rounds, Left: time.Duration(left),
			})
		}
		for _, t := range turns {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			t.result.Samples = append(t.result.Samples, r.sample(ctx, c, t))
		}
	}
	var results []report.Result
	for _, t := range turns {
		results = append(results, t.result)
	}
	if share := report.CPUShare(results); c.cpus == 1 && share < fairShare {
		r.Log.Warn("other programs took part of the CPU", "cell", c.String(), "left", fmt.Sprintf("%.0f%%", 100*share))
	}
	report.Summarize(results)
	return results, report.Failures(results)
}

// turn is one target within a cell.
type turn struct {
	order  traffic.Order
	peer   netip.Addr
	result report.Result
}

func (r *runner) turns(c cell) ([]*turn, error) {
	cpus, err := processors(c.cpus)
	if err != nil {
		return nil, err
	}
	var turns []*turn
	for _, site := range r.sites {
		path, err := site.Path(c.scenario, c.workload.Proto, c.family)
		if errors.Is(err, target.ErrNoPath) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s through %s: %w", c, site.Name(), err)
		}
		if err := site.Pin(cpus); err != nil {
			return nil, fmt.Errorf("%s through %s: %w", c, site.Name(), err)
		}
		t := &turn{order: c.workload.Order(c.scenario), peer: path.Peer}
		t.order.CPUs = cpus
		t.order.ClientNS, t.order.ServerNS = path.Client.Path(), path.Server.Path()
		t.order.Listen, t.order.Dial = path.Listen, path.Dial
		t.order.Warmup, t.order.Duration = r.Plan.Warmup, r.Plan.Sample
		t.result = report.Result{
			Scenario: string(c.scenario), Workload: c.workload.Name, Family: int(c.family), CPUs: c.cpus,
			Target: site.Name(), Unit: c.workload.Unit,
		}
		turns = append(turns, t)
	}
	return turns, nil
}

func (r *runner) sample(ctx context.Context, c cell, t *turn) report.Sample {
	reply, err := r.Generator.Do(ctx, t.order)
	if err == nil && t.peer.IsValid() && reply.Peer.Addr() != t.peer {
		err = fmt.Errorf("the server saw %s where %s was due: the traffic took another path", reply.Peer.Addr(), t.peer)
	}
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Warn("sample failed", "cell", c.String(), "target", t.result.Target, "error", err)
		}
		return report.Sample{Error: err.Error()}
	}
	return report.Sample{
		Value: reply.Rate * c.workload.Scale, Seconds: reply.Seconds, CPUSeconds: reply.Busy, OwnSeconds: reply.Own,
		Lost: reply.Lost, P50: microseconds(reply.P50), P99: microseconds(reply.P99), P999: microseconds(reply.P999),
		Latency: reply.Latency,
	}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// describe asks the targets, after the traffic, for the proof of its path and for the state that it met.
func (r *runner) describe(ctx context.Context) (map[string]report.Setting, error) {
	settings := make(map[string]report.Setting)
	var errs []error
	for _, site := range r.sites {
		setting, warnings, err := machine.Describe(site)
		errs = append(errs, err)
		for _, w := range warnings {
			r.Log.Warn("offload missing", "target", site.Name(), "device", w)
		}
		if setting.Proof, err = site.Proof(ctx); err != nil {
			errs = append(errs, fmt.Errorf("prove the path of %s: %w", site.Name(), err))
		}
		settings[site.Name()] = setting
	}
	return settings, errors.Join(errs...)
}

func (r *runner) close() error {
	var errs []error
	for _, site := range r.sites {
		if err := site.Close(); err != nil {
			errs = append(errs, fmt.Errorf("take down target %s: %w", site.Name(), err))
		}
	}
	return errors.Join(errs...)
}
