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
	programSamples = 7
	programRuns    = 200000
)

// programs times the programs of the targets that have such, each on the first of a packet's way.
func (r *runner) programs(ctx context.Context, sites []built) ([]report.Result, error) {
	cpus, err := processors(1)
	if err != nil {
		return nil, err
	}
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
				r.say(fmt.Sprintf("program %s %s", scenario, family), len(results), 2*len(target.DefaultScenarios()))
				result, err := r.program(ctx, b, scenario, family, cpus[0])
				results, errs = append(results, result), append(errs, err)
			}
		}
	}
	return results, errors.Join(errs...)
}

func (r *runner) program(ctx context.Context, b built, s target.Scenario, f rivals.Family, cpu int) (_ report.Result, err error) {
	result := report.Result{
		Scenario: string(s), Workload: "program", Family: int(f), CPUs: 1, Target: b.maker.Name, Unit: "ns", LowerIsBetter: true,
	}
	path, err := b.site.Path(s, "udp", f)
	if err != nil {
		return result, fmt.Errorf("program %s %s: %w", s, f, err)
	}
	watch, err := frames.NewStopwatch(ctx, frames.Config{Client: path.Client, Others: b.site.Namespaces(), Dial: path.Dial, CPU: cpu})
	if err != nil {
		return result, fmt.Errorf("program %s %s: %w", s, f, err)
	}
	defer func() { err = errors.Join(err, watch.Close()) }()
	for range programSamples {
		took, err := watch.Time(programRuns)
		if err != nil {
			return result, fmt.Errorf("program %s %s: %w", s, f, err)
		}
		result.Samples = append(result.Samples, report.Sample{Value: float64(took.Nanoseconds())})
	}
	list := []report.Result{result}
	report.Summarize(list)
	return list[0], nil
}
