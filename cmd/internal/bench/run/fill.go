// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/frames"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/test/rivals"
)

// fill gives every target so many flows to a published UDP port to keep, the flow to be measured aside. They are made by
// generated frames: a datagram each, which nobody answers. It returns the targets that took them.
func (r *runner) fill(ctx context.Context, sites []built, s Series, x int) ([]built, error) {
	cpus, err := processors(1)
	if err != nil {
		return nil, err
	}
	return each(sites, func(b built) error {
		flows := s.place(b, x)
		if err := r.fillOne(ctx, b.site, flows, cpus[0]); err != nil {
			return fmt.Errorf("fill %s with %d flows: %w", b.maker.Name, flows, err)
		}
		return nil
	})
}

func (r *runner) fillOne(ctx context.Context, site target.Site, flows, cpu int) (err error) {
	if err := errors.Join(site.Forget(ctx), site.Linger()); err != nil {
		return err
	}
	if flows <= 1 {
		return nil
	}
	path, err := site.Path(target.Published, "udp", rivals.IPv4)
	if err != nil {
		return err
	}
	rig, err := frames.New(ctx, frames.Config{
		Client: path.Client, Server: path.Server, Others: site.Namespaces(), Dial: path.Dial, Flows: flows - 1, Strangers: true,
		CPU: cpu,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rig.Close()) }()
	arrived, err := rig.Send(ctx, flows-1)
	if err != nil {
		return err
	}
	// A target that does not let a flow through does not keep it.
	if int(arrived) < (flows-1)*99/100 {
		return fmt.Errorf("only %d arrived", arrived)
	}
	return nil
}

// kept takes the figures away from targets that did not keep the flows while they were measured.
func (r *runner) kept(ctx context.Context, sites []built, s Series, x int, results []report.Result) error {
	_, err := each(sites, func(b built) error {
		flows := s.place(b, x)
		n, keeps, err := b.site.Flows(ctx)
		if err == nil && (!keeps || n >= flows*99/100) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s kept %d of %d flows while it was measured", b.maker.Name, n, flows)
		}
		for i := range results {
			for j := range results[i].Samples {
				if results[i].Target == b.site.Name() {
					results[i].Samples[j].Error = err.Error()
				}
			}
		}
		return err
	})
	if err != nil {
		report.Summarize(results)
	}
	return err
}

// firstFree is beyond the port that is measured.
const firstFree = 8081

// create times the creation of the next container, with its ports. The containers that a rival has are given the ports
// by Docker's rules for them alone, without what else Docker does for a container: that is to the rival's advantage.
func (r *runner) create(ctx context.Context, sites []built, s Series, x int) ([]report.Result, error) {
	r.steps.next()
	var results []report.Result
	for _, b := range sites {
		results = append(results, report.Result{
			Scenario: "create", Workload: "create", Axis: string(s.Axis), X: x, Target: b.maker.Name, Unit: "ms", LowerIsBetter: true,
		})
	}
	first := max(s.size(x).ports+2, firstFree)
	for round := range s.Creates {
		for _, i := range order(len(sites), round) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			r.say(fmt.Sprintf("the next container of %s, %d %s", sites[i].maker.Name, x, s.Axis), round, s.Creates)
			took, err := sites[i].site.Create(ctx, portsEach, first)
			if errors.Is(err, target.ErrNoPath) {
				continue
			}
			sample := report.Sample{Value: float64(took.Nanoseconds()) / float64(time.Millisecond), Seconds: took.Seconds()}
			if err != nil {
				sample = report.Sample{Error: err.Error()}
			}
			results[i].Samples = append(results[i].Samples, sample)
		}
	}
	results = slices.DeleteFunc(results, func(r report.Result) bool { return len(r.Samples) == 0 })
	report.Summarize(results)
	return results, report.Failures(results)
}
