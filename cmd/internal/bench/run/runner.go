// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// makers are those of the sites.
	makers []target.Maker
	clock  clock
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
	r.clock = newClock(cfg.Plan.Duration())
	for i, c := range cfg.Plan.Cells {
		results, err := r.measure(ctx, c, r.sites, func(round int) { r.show(c, i, round) })
		if ctx.Err() != nil {
			return nil, fmt.Errorf("benchmark stopped: %w", context.Cause(ctx))
		}
		errs = append(errs, err)
		rep.Results = append(rep.Results, results...)
	}
	rep.Machine.Targets, err = r.describe(ctx)
	rep.Machine.Differences = machine.Differences(rep.Machine.Targets)
	for _, d := range rep.Machine.Differences {
		r.Log.Warn("targets differ", "how", d)
	}
	return rep, errors.Join(append(errs, err)...)
}

func (r *runner) show(c Cell, number, round int) {
	if r.Progress == nil {
		return
	}
	done := (float64(number) + float64(round)/float64(r.Plan.Rounds)) / float64(len(r.Plan.Cells))
	r.Progress(Progress{
		Cell: c.String(), Number: number + 1, All: len(r.Plan.Cells), Round: round + 1, Rounds: r.Plan.Rounds,
		Left: r.clock.left(done, time.Now()),
	})
}

func (r *runner) build(ctx context.Context) error {
	for _, m := range r.Plan.Targets {
		r.Log.Debug("build target", "target", m.Name)
		site, err := m.Make(ctx, r.Options)
		if errors.Is(err, target.ErrUnavailable) {
			r.Log.Warn("target left out", "target", m.Name, "why", err)
			continue
		}
		if err != nil {
			return err
		}
		r.sites, r.makers = append(r.sites, site), append(r.makers, m)
	}
	return nil
}

// measure fills one cell, round by round, so that whatever disturbs the machine for a while disturbs all targets alike.
func (r *runner) measure(ctx context.Context, c Cell, sites []target.Site, progress func(round int)) (_ []report.Result, err error) {
	turns, err := r.turns(ctx, c, sites)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeTurns(turns)) }()
	if err := witness(ctx, turns); err != nil {
		return nil, err
	}
	for round := range r.Plan.Rounds {
		progress(round)
		for _, i := range order(len(turns), round) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			turns[i].result.Samples = append(turns[i].result.Samples, r.sample(ctx, c, turns[i]))
		}
	}
	unproven := r.prove(ctx, c, turns)
	var results []report.Result
	for _, t := range turns {
		results = append(results, t.result)
	}
	if share := report.CPUShare(results); c.CPUs == 1 && share < fairShare {
		r.Log.Warn("other programs took part of the CPU", "cell", c.String(), "left", fmt.Sprintf("%.0f%%", 100*share))
	}
	report.Summarize(results)
	return results, errors.Join(report.Failures(results), unproven)
}

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
