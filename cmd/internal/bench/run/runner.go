// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/vethway/vethway/cmd/internal/bench/machine"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/test/netlab"
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
	// Checkpoint is given what there is after each comparison; nil is allowed.
	Checkpoint func(*report.Report)
}

type runner struct {
	Config
	sites []built
	clock clock
	steps steps
	// takingTurns: targets have published UDP for their own samples alone.
	takingTurns bool
}

// built is a target that stands.
type built struct {
	maker target.Maker
	site  target.Site
}

// Run carries out the plan and returns what was measured. Single samples may fail: the report says so, and the error is
// nil as long as each target has at least one good sample in each cell that it takes part in. The report is good for
// what it holds even when the error is not nil, unless it is nil itself.
func Run(ctx context.Context, cfg Config) (_ *report.Report, err error) {
	if err := cfg.Plan.Validate(); err != nil {
		return nil, err
	}
	r := &runner{Config: cfg, clock: newClock(cfg.Plan.Duration()), steps: steps{all: cfg.Plan.steps()}}
	group, err := netlab.NewCgroup("bench")
	if err != nil {
		return nil, err
	}
	// The targets' own are in it: it goes after them.
	defer func() { err = errors.Join(err, closeSites(r.sites), group.Close()) }()
	r.Options.Cgroup = group
	facts, err := machine.Gather(ctx)
	if err != nil {
		return nil, err
	}
	facts.Settings = report.Settings{
		Rounds: cfg.Plan.Rounds, Builds: cfg.Plan.Builds, SampleSeconds: cfg.Plan.Sample.Seconds(), WarmupSeconds: cfg.Plan.Warmup.Seconds(),
		CongestionControl: traffic.CongestionControl,
	}
	rep := &report.Report{Machine: facts}
	if r.Checkpoint == nil {
		r.Checkpoint = func(*report.Report) {}
	}
	var errs []error
	for _, part := range []func(context.Context, *report.Report) error{r.compare, r.scaleAll} {
		errs = append(errs, part(ctx, rep))
		if ctx.Err() != nil {
			return nil, fmt.Errorf("benchmark stopped: %w", context.Cause(ctx))
		}
	}
	return rep, errors.Join(errs...)
}

// compare measures the cells of the plan. All of one build's targets stand side by side from the first cell to the last: where a target has its
// structures in memory makes a difference that no number of rounds takes away, so each build has its part of them.
func (r *runner) compare(ctx context.Context, rep *report.Report) error {
	if len(r.Plan.Cells) == 0 && !r.Plan.Programs {
		return nil
	}
	var errs []error
	m := merger{cells: make([][]report.Result, len(r.Plan.Cells))}
	for build := range r.Plan.Builds {
		errs = append(errs, r.compareOnce(ctx, rep, &m, build))
		if ctx.Err() != nil {
			return nil
		}
	}
	rep.Results = slices.Concat(m.results(), m.programs)
	return errors.Join(append(errs, m.failures())...)
}

// compareOnce has one build's part. The first one times programs before all traffic; what comes after all traffic the last one has.
func (r *runner) compareOnce(ctx context.Context, rep *report.Report, m *merger, build int) (err error) {
	var errs []error
	if r.sites, err = r.build(ctx, r.Plan.Targets, r.Options); len(r.sites) == 0 || ctx.Err() != nil {
		return err
	}
	errs = append(errs, err, r.calm(ctx))
	if r.Plan.Programs && build == 0 {
		m.programs, err = r.programs(ctx, r.sites)
		errs = append(errs, err)
	}
	errs = append(errs, r.takeTurns(ctx, true))
	for i, c := range r.Plan.Cells {
		results, err := r.measure(ctx, c, r.sites, rounds{m.done, r.Plan.part(build)}, c.String(), true)
		if ctx.Err() != nil {
			return nil
		}
		errs = append(errs, err)
		m.add(i, results)
		rep.Results = m.results()
		r.Checkpoint(rep)
	}
	m.done += r.Plan.part(build)
	errs = append(errs, r.takeTurns(ctx, false))
	if build == r.Plan.Builds-1 {
		errs = append(errs, r.afterwards(ctx, rep, m))
	}
	err = errors.Join(append(errs, closeSites(r.sites))...)
	r.sites = nil
	return err
}

// takeTurns has UDP published while a target's own sample needs it and never else, or all the time again.
func (r *runner) takeTurns(ctx context.Context, on bool) error {
	r.takingTurns = on
	var errs []error
	for _, b := range r.sites {
		if err := b.site.Datagrams(ctx, !on); err != nil {
			errs = append(errs, fmt.Errorf("target %s: %w", b.maker.Name, err))
		}
	}
	return errors.Join(errs...)
}

// afterwards is what the targets are asked when all traffic has passed.
func (r *runner) afterwards(ctx context.Context, rep *report.Report, m *merger) error {
	var errs []error
	if r.Plan.CrossCheck {
		r.steps.next()
		checks, err := r.crossCheck(ctx, r.sites)
		if ctx.Err() != nil {
			return nil
		}
		rep.CrossChecks, errs = checks, append(errs, err)
	}
	if r.Plan.Programs {
		results, err := r.hairpinPrograms(ctx, r.sites)
		if ctx.Err() != nil {
			return nil
		}
		m.programs, errs = append(m.programs, results...), append(errs, err)
	}
	var err error
	rep.Machine.Targets, err = r.describe(ctx)
	rep.Machine.Differences = machine.Differences(rep.Machine.Targets)
	return errors.Join(append(errs, err)...)
}

func (r *runner) scaleAll(ctx context.Context, rep *report.Report) error {
	var errs []error
	for _, s := range r.Plan.Series {
		for _, x := range s.Points {
			results, err := r.point(ctx, s, x)
			rep.Results, errs = append(rep.Results, results...), append(errs, err)
			if ctx.Err() != nil {
				return errors.Join(errs...)
			}
			r.Checkpoint(rep)
		}
	}
	return errors.Join(errs...)
}

// build makes targets. It goes on without those that fail, and returns why they did.
func (r *runner) build(ctx context.Context, makers []target.Maker, options target.Options) ([]built, error) {
	var sites []built
	var errs []error
	for _, m := range makers {
		r.Log.Debug("build target", "target", m.Name)
		site, err := m.Make(ctx, options)
		if errors.Is(err, target.ErrUnavailable) {
			r.Log.Warn("target left out", "target", m.Name, "why", err)
			continue
		}
		if err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
			r.Log.Error("target left out", "target", m.Name, "why", err)
			continue
		}
		sites = append(sites, built{m, site})
	}
	return sites, errors.Join(errs...)
}

// rounds are some of a cell's: where they begin, and how many they are.
type rounds struct{ from, count int }

// measure takes rounds of one cell, in which whatever disturbs the machine for a while disturbs all targets alike.
func (r *runner) measure(ctx context.Context, c Cell, sites []built, part rounds, label string, proof bool) (_ []report.Result, err error) {
	r.steps.next()
	turns, failed := r.turns(ctx, c, sites)
	defer func() { err = errors.Join(err, closeTurns(turns)) }()
	if proof {
		witness(ctx, turns)
	}
	for round := range part.count {
		r.say(label, round, part.count)
		for _, i := range order(len(turns), part.from+round) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			turns[i].result.Samples = append(turns[i].result.Samples, r.sample(ctx, c, turns[i]))
		}
	}
	if proof {
		r.prove(ctx, c, turns)
	}
	var results []report.Result
	for _, t := range turns {
		results = append(results, t.result)
	}
	if share := report.CPUShare(results); c.CPUs == 1 && share < fairShare {
		r.Log.Warn("other programs took part of the CPU", "cell", label, "left", fmt.Sprintf("%.0f%%", 100*share))
	}
	return results, failed
}

// describe asks the targets, after the traffic, for the proof of its path and for the state that it met.
func (r *runner) describe(ctx context.Context) (map[string]report.Setting, error) {
	settings := make(map[string]report.Setting)
	var errs []error
	for _, b := range r.sites {
		site := b.site
		setting, warnings, err := machine.Describe(site)
		errs = append(errs, err)
		for _, w := range warnings {
			errs = append(errs, fmt.Errorf("target %s cannot be compared: offloads missing: %s", site.Name(), w))
		}
		if setting.Proof, err = site.Proof(ctx); err != nil {
			errs = append(errs, fmt.Errorf("prove the path of %s: %w", site.Name(), err))
		}
		settings[site.Name()] = setting
	}
	return settings, errors.Join(errs...)
}

func closeSites(sites []built) error {
	var errs []error
	for _, b := range sites {
		if err := b.site.Close(); err != nil {
			errs = append(errs, fmt.Errorf("take down target %s: %w", b.maker.Name, err))
		}
	}
	return errors.Join(errs...)
}
