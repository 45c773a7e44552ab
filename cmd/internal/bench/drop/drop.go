// SPDX-License-Identifier: Apache-2.0

// Package drop measures how fast denied frames are got rid of: by vw_xdp, by the same rules at tc, and by nftables' ingress hook. Frames come
// out of the kernel's test runner over a veth; generating them is part of every figure.
package drop

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
	// Prefixes are on the deny list beside the one that matches.
	Prefixes int
	// Rounds is how often each target has its turn.
	Rounds int
	// Warmup and Sample are how long a turn is, before it counts and while it does.
	Warmup, Sample time.Duration
	Log            *slog.Logger
}

// maxPrefixes is how many fit where they are taken from.
const maxPrefixes = 1 << 15

// least is the part of the frames sent that must have come to the rule for a figure to be believed.
const least = 0.9

func (c *Config) check() error {
	switch {
	case c.Prefixes < 0 || c.Prefixes > maxPrefixes:
		return fmt.Errorf("%d prefixes: want up to %d", c.Prefixes, maxPrefixes)
	case c.Rounds < 1:
		return fmt.Errorf("%d rounds: at least one is needed", c.Rounds)
	case c.Sample <= 0:
		return fmt.Errorf("a sample of %v: some time is needed", c.Sample)
	}
	return nil
}

// Run builds every target in throw-away namespaces, lets them take turns, and takes everything down.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	facts, err := machine.Gather(ctx)
	if err != nil {
		return nil, err
	}
	facts.Settings.Rounds = cfg.Rounds
	sites, err := build(ctx, cfg)
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, s.close())
		}
	}()
	if err != nil {
		return nil, err
	}
	r := &Report{Machine: facts, Prefixes: cfg.Prefixes}
	for _, family := range families() {
		for _, s := range sites {
			r.Results = append(r.Results, Result{Target: s.name, What: s.what, Family: family})
		}
	}
	for round := range cfg.Rounds {
		cfg.Log.Info("measure", "round", round+1)
		for i := range r.Results {
			res := &r.Results[i]
			sample, err := sites[i%len(sites)].measure(ctx, cfg, res.Family)
			if err != nil {
				return nil, fmt.Errorf("target %s, IPv%d: %w", res.Target, res.Family, err)
			}
			res.Samples = append(res.Samples, sample)
		}
	}
	r.summarize()
	return r, nil
}

func families() []int { return []int{4, 6} }

// measure is one turn: frames dropped in a second of CPU time, by the target's own count.
func (s *site) measure(ctx context.Context, cfg Config, family int) (Sample, error) {
	rig := s.rigs[family]
	if cfg.Warmup > 0 {
		if _, err := rig.RunLossy(ctx, 0, cfg.Warmup); err != nil {
			return Sample{}, err
		}
	}
	before, err := s.dropped(ctx)
	if err != nil {
		return Sample{}, err
	}
	sent, err := rig.RunLossy(ctx, 0, cfg.Sample)
	if err != nil {
		return Sample{}, err
	}
	after, err := s.dropped(ctx)
	if err != nil {
		return Sample{}, err
	}
	n := after - before
	if float64(n) < least*float64(sent.Sent) {
		return Sample{}, fmt.Errorf("of %d frames sent, %d came to where they were to be dropped", sent.Sent, n)
	}
	return Sample{Rate: float64(n) / sent.Seconds, Nanoseconds: sent.Seconds * 1e9 / float64(n)}, nil
}

// summarize works out medians, and ratios round by round.
func (r *Report) summarize() {
	baseline := map[int]Result{}
	for _, res := range r.Results {
		if res.Target == Baseline {
			baseline[res.Family] = res
		}
	}
	for i := range r.Results {
		res, base := &r.Results[i], baseline[r.Results[i].Family]
		sum := stats.Summarize(res.each(rate))
		res.Median, res.Min, res.Max = sum.Median, sum.Min, sum.Max
		res.Ratio = stats.Spread(stats.PairedRatios(res.each(rate), base.each(rate)))
		// Fewer nanoseconds are better.
		res.Efficiency = stats.Spread(stats.PairedRatios(base.each(nanoseconds), res.each(nanoseconds)))
	}
}
