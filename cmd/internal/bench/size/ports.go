// SPDX-License-Identifier: Apache-2.0

package size

import (
	"context"
	"fmt"

	"github.com/vethway/vethway/control/api"
)

// firstPort is where published ports begin, unless there are too many.
const firstPort = 10000

// spread are so many ports, spelled out one by one.
func (s *site) spread(n int) []api.PublishSpec {
	first := min(firstPort, 65536-n)
	specs := make([]api.PublishSpec, n)
	for i := range specs {
		specs[i] = api.PublishSpec{HostPort: uint16(first + i), ContainerPort: uint16(first + i)}
	}
	return specs
}

// span are the same ports as a range.
func (s *site) span(n int) []api.PublishSpec {
	first := uint16(min(firstPort, 65536-n))
	last := first + uint16(n-1)
	return []api.PublishSpec{{HostPort: first, HostPortEnd: last, ContainerPort: first, ContainerPortEnd: last}}
}

// portRequest is a request about many ports, with the one that takes it back.
type portRequest struct {
	name, what string
	do, undo   func() error
	budget     bool
}

// publishAll times publishing and withdrawing by one request, over the API and by the command.
func (s *site) publishAll(ctx context.Context, r *Report) error {
	for _, n := range append([]int{s.cfg.Ports}, s.cfg.More...) {
		for _, q := range s.portRequests(ctx, n) {
			res, err := s.rounds(q)
			if err != nil {
				return err
			}
			res.Count = n
			if q.budget {
				res.Budget = float64(publishBudgets[n].Milliseconds())
			}
			r.Results = append(r.Results, res)
		}
		least, err := leastPorts(ctx, n, s.cfg.Rounds)
		if err != nil {
			return err
		}
		r.Results = append(r.Results, least...)
	}
	return nil
}

func (s *site) portRequests(ctx context.Context, n int) []portRequest {
	spread, span := s.spread(n), s.span(n)
	publish := func(specs []api.PublishSpec) func() error { return func() error { return s.publish(ctx, specs) } }
	unpublish := func(specs []api.PublishSpec) func() error { return func() error { return s.unpublish(ctx, specs) } }
	ports := grouped(n) + " ports by one request of"
	all := []portRequest{
		{publishName, "publish " + ports + " the API", publish(spread), unpublish(span), true},
		{"publish-range", "publish " + ports + " the API, as a range", publish(span), unpublish(span), true},
		{"unpublish", "withdraw " + ports + " the API", unpublish(spread), publish(span), true},
		{"unpublish-range", "withdraw " + ports + " the API, as a range", unpublish(span), publish(span), true},
	}
	if s.cli != "" {
		command := func(specs []api.PublishSpec) func() error { return func() error { return s.publishByCLI(ctx, specs) } }
		all = append(all,
			portRequest{"publish-cli", "publish " + ports + " the command", command(spread), unpublish(span), false},
			portRequest{"publish-cli-range", "publish " + ports + " the command, as a range", command(span), unpublish(span), false})
	}
	return all
}

func (s *site) rounds(q portRequest) (Result, error) {
	s.cfg.Log.Info(q.what, "rounds", s.cfg.Rounds)
	withdrawing := q.name == "unpublish" || q.name == "unpublish-range"
	if withdrawing {
		if err := q.undo(); err != nil {
			return Result{}, err
		}
	}
	var samples []float64
	for round := range s.cfg.Rounds {
		took, err := timed(q.do)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", q.what, err)
		}
		samples = append(samples, float64(took.Microseconds())/1e3)
		if withdrawing && round == s.cfg.Rounds-1 {
			break
		}
		if err := q.undo(); err != nil {
			return Result{}, err
		}
	}
	return result(q.name, q.what, "ms", samples), nil
}
