// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/vethway/vethway/cmd/internal/bench/frames"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/test/rivals"
)

// Of each program: so many samples, each the mean of so many runs.
const (
	programSamples = 11
	programRuns    = 300000
)

// own is the only target between whose containers it makes a difference who has met whom.
const own = "vethway"

// What results of programs are called. Between containers it makes a difference whether any of their network has reached another one by a
// published port: from then on, packets between neighbours may belong to flows.
const (
	program         = "program"
	programHairpins = "program-hairpins"
)

// programs times the programs of the targets that have such, each on the first of a packet's way, before any other traffic.
func (r *runner) programs(ctx context.Context, sites []built) ([]report.Result, error) {
	r.steps.next()
	var results []report.Result
	var errs []error
	for _, b := range sites {
		if !b.maker.Programs {
			continue
		}
		for _, scenario := range target.DefaultScenarios() {
			for _, family := range []rivals.Family{rivals.IPv4, rivals.IPv6} {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				r.say(fmt.Sprintf("%s %s %s", program, scenario, family), len(results), 2*len(target.DefaultScenarios()))
				result, err := r.program(ctx, b, program, scenario, family)
				results, errs = append(results, result), append(errs, err)
			}
		}
	}
	return results, errors.Join(errs...)
}

// hairpinPrograms times those between containers once more, when one has reached another by a published port. It comes last, since a
// network stays that way.
func (r *runner) hairpinPrograms(ctx context.Context, sites []built) ([]report.Result, error) {
	var results []report.Result
	var errs []error
	for _, b := range sites {
		for _, family := range []rivals.Family{rivals.IPv4, rivals.IPv6} {
			if b.maker.Name != own || ctx.Err() != nil {
				continue
			}
			result, err := r.program(ctx, b, program, target.Hairpin, family)
			results, errs = append(results, result), append(errs, err)
			if err != nil {
				continue
			}
			result, err = r.program(ctx, b, programHairpins, target.ContainerToContainer, family)
			results, errs = append(results, result), append(errs, err)
		}
	}
	return results, errors.Join(errs...)
}

func (r *runner) program(ctx context.Context, b built, workload string, s target.Scenario, f rivals.Family) (_ report.Result, err error) {
	result := report.Result{
		Scenario: string(s), Workload: workload, Family: int(f), CPUs: 1, Target: b.maker.Name, Unit: "ns", LowerIsBetter: true,
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s %s %s of %s: %w", workload, s, f, b.maker.Name, err)
		}
	}()
	cpus, err := processors(1)
	if err != nil {
		return result, err
	}
	path, err := b.site.Path(s, "udp", f)
	if err != nil {
		return result, err
	}
	watch, err := frames.NewStopwatch(ctx, frames.Config{Client: path.Client, Others: b.site.Namespaces(), Dial: path.Dial, CPU: cpus[0]})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, watch.Close()) }()
	before, err := b.site.Counters(ctx)
	if err != nil {
		return result, err
	}
	for range programSamples {
		took, err := watch.Time(programRuns, frames.Translation{From: path.Peer, To: path.Listen})
		if err != nil {
			return result, err
		}
		result.Samples = append(result.Samples, report.Sample{Value: float64(took.Nanoseconds())})
	}
	after, err := b.site.Counters(ctx)
	if err != nil {
		return result, err
	}
	met, err := watch.Marked("hairpins")
	if err != nil {
		return result, err
	}
	if result.Proof, err = programWay(result, before, after, met); err != nil {
		return result, err
	}
	list := []report.Result{result}
	report.Summarize(list)
	return list[0], nil
}

// programWay tells which way through the program each of the runs took, of which Time knows the last alone: a flow counts its packets, and
// between neighbours there is none. Whether flows had to be asked for there, the map hairpins says.
func programWay(result report.Result, before, after rivals.Counters, hairpins bool) (string, error) {
	const counter = "in flows"
	if _, counts := after[counter]; !counts {
		return "redirected as " + result.Scenario, nil
	}
	neighbours := result.Scenario == string(target.ContainerToContainer)
	counted, runs := after[counter]-before[counter], uint64(programSamples*programRuns)
	shown := fmt.Sprintf("%s +%d of %d runs, hairpins %v", counter, counted, runs, hairpins)
	if neighbours == (counted >= runs) {
		return "", fmt.Errorf("the packets took another way: %s", shown)
	}
	if neighbours && hairpins != (result.Workload == programHairpins) {
		return "", fmt.Errorf("the packets took another way between neighbours: %s", shown)
	}
	return shown, nil
}
