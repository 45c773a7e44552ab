// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/frames"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/test/rivals"
)

// Sources of generated frames. A few dozen flows stay in every cache, as the one flow of other workloads does.
const generatedFlows = 64

// turn is one target within a cell.
type turn struct {
	site  target.Site
	order traffic.Order
	peer  netip.Addr
	rig   *frames.Rig // of generated workloads
	// helped is set where a process forwards: what the traffic generator was billed is not all then.
	helped bool
	// splices is set where data is to go from socket to socket.
	splices bool
	// forgets is set where flows are to be forgotten before each sample, whatever the workload.
	forgets bool
	// datagrams is set where the target publishes UDP for each sample, and withdraws it for those of others.
	datagrams bool
	before    rivals.Counters
	// after is what was counted before UDP was withdrawn, and with it its flows.
	after rivals.Counters
	// unfit is why no sample of it can be good.
	unfit  error
	result report.Result
}

// turns are those of all targets that have the way. One that fails leaves the others theirs.
func (r *runner) turns(ctx context.Context, c Cell, sites []built) ([]*turn, error) {
	cpus, err := processors(c.CPUs)
	if err != nil {
		return nil, err
	}
	var turns []*turn
	var errs []error
	for _, b := range sites {
		if slices.Contains(c.Without, b.maker.Name) {
			continue
		}
		t, err := r.turn(ctx, c, b, cpus)
		switch {
		case errors.Is(err, target.ErrNoPath):
		case err != nil:
			if ctx.Err() == nil {
				r.Log.Error("target left out of a comparison", "cell", c.String(), "target", b.maker.Name, "why", err)
			}
			errs = append(errs, fmt.Errorf("%s through %s: %w", c, b.maker.Name, err))
		default:
			turns = append(turns, t)
		}
	}
	return turns, errors.Join(errs...)
}

func (r *runner) turn(ctx context.Context, c Cell, b built, cpus []int) (*turn, error) {
	path, err := b.site.Path(c.Scenario, c.Workload.Proto, c.Family)
	if err != nil {
		return nil, err
	}
	if err := b.site.Pin(cpus); err != nil {
		return nil, err
	}
	t := &turn{
		site: b.site, peer: path.Peer, order: c.Workload.Order(c.Scenario), helped: b.maker.UserSpace(c.Scenario),
		splices: c.splices(b.maker.Splices), forgets: b.maker.Forgets, datagrams: r.takingTurns && c.Workload.Proto == "udp" && c.Scenario.Dials(),
	}
	t.order.CPUs, t.order.Cgroup = cpus, b.site.Cgroup()
	t.order.ClientNS, t.order.ServerNS = path.Client.Path(), path.Server.Path()
	t.order.Listen, t.order.Dial = path.Listen, path.Dial
	t.order.Warmup, t.order.Duration = r.Plan.Warmup, r.Plan.Sample
	t.result = report.Result{
		Scenario: string(c.Scenario), Workload: c.Workload.Name, Family: int(c.Family), CPUs: c.CPUs,
		Target: b.site.Name(), Unit: c.Workload.Unit,
	}
	if c.Workload.Generated {
		t.rig, err = frames.New(ctx, frames.Config{
			Client: path.Client, Server: path.Server, Others: b.site.Namespaces(), Dial: path.Dial, Flows: generatedFlows, CPU: cpus[0],
		})
	}
	return t, err
}

func closeTurns(turns []*turn) error {
	var errs []error
	for _, t := range turns {
		if t.rig != nil {
			errs = append(errs, t.rig.Close())
		}
	}
	return errors.Join(errs...)
}

func (r *runner) sample(ctx context.Context, c Cell, t *turn) report.Sample {
	s, err := r.take(ctx, c, t)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Warn("sample failed", "cell", c.String(), "target", t.result.Target, "error", err)
		}
		return report.Sample{Error: err.Error()}
	}
	return s
}

func (r *runner) take(ctx context.Context, c Cell, t *turn) (_ report.Sample, err error) {
	if t.unfit != nil {
		return report.Sample{}, t.unfit
	}
	if t.datagrams {
		// Whatever becomes of the sample, the next one is a rival's.
		if err := t.site.Datagrams(ctx, true); err != nil {
			return report.Sample{}, err
		}
		defer func() {
			if err == nil {
				t.after, err = t.site.Counters(ctx)
			}
			err = errors.Join(err, t.site.Datagrams(ctx, false))
		}()
	}
	if c.Workload.Fresh || t.forgets {
		if err := t.site.Forget(ctx); err != nil {
			return report.Sample{}, err
		}
	}
	if t.rig != nil {
		return r.generate(ctx, t)
	}
	reply, err := r.Generator.Do(ctx, t.order)
	if err != nil {
		return report.Sample{}, err
	}
	if t.peer.IsValid() && reply.Peer.Addr() != t.peer {
		return report.Sample{}, fmt.Errorf("the server saw %s where %s was due: the traffic took another path", reply.Peer.Addr(), t.peer)
	}
	if t.splices != (reply.Spliced > 0) {
		return report.Sample{}, fmt.Errorf("%.0f %% of the bytes were spliced: the traffic took another path", 100*reply.Spliced)
	}
	if t.helped {
		reply.Own = 0
	}
	return report.Sample{
		Value: reply.Rate * c.Workload.Scale, Seconds: reply.Seconds, CPUSeconds: reply.Busy, OwnSeconds: reply.Own,
		Lost: reply.Lost, P50: microseconds(reply.P50), P99: microseconds(reply.P99), P999: microseconds(reply.P999),
		Latency: reply.Latency,
	}, nil
}

// generate is a sample of generated frames. One CPU does everything there is, and sleeps in between, so the time is the CPU's.
func (r *runner) generate(ctx context.Context, t *turn) (report.Sample, error) {
	got, err := t.rig.Run(ctx, r.Plan.Warmup, r.Plan.Sample)
	if err != nil {
		return report.Sample{}, err
	}
	s := report.Sample{
		Value: float64(got.Arrived) / got.Seconds, Seconds: got.Seconds, CPUSeconds: got.Seconds, OwnSeconds: got.Seconds,
	}
	if got.Sent > got.Arrived {
		s.Lost = 1 - float64(got.Arrived)/float64(got.Sent)
	}
	return s, nil
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
