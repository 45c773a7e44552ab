// SPDX-License-Identifier: Apache-2.0

package size

import (
	"context"
	"fmt"
	"time"
)

// memory reads how much of the daemon is resident with all containers and ports there.
func (s *site) memory(ctx context.Context, r *Report) error {
	if err := s.publish(ctx, s.spread(s.cfg.Ports)); err != nil {
		return err
	}
	res, err := s.readMemory(ctx, "memory", s.cfg.Ports)
	if err != nil {
		return err
	}
	if s.cfg.Containers == DefaultContainers && s.cfg.Ports == DefaultPorts {
		res.Budget = memoryBudget / 1e6
	}
	r.Results = append(r.Results, res)
	return s.unpublish(ctx, s.spread(s.cfg.Ports))
}

func (s *site) readMemory(ctx context.Context, name string, ports int) (Result, error) {
	s.cfg.Log.Info("read memory", "ports", ports, "settle", s.cfg.Settle)
	var samples []float64
	for range s.cfg.Rounds {
		if err := sleep(ctx, s.cfg.Settle/time.Duration(s.cfg.Rounds)); err != nil {
			return Result{}, err
		}
		resident, err := s.resident(ctx)
		if err != nil {
			return Result{}, err
		}
		samples = append(samples, resident/1e6)
	}
	what := fmt.Sprintf("vethwayd resident with %s containers and %s published ports", grouped(s.cfg.Containers), grouped(ports))
	return result(name, what, "MB", samples), nil
}

// full starts the daemon on a host that has as many published ports as the last number, and reads its memory.
func (s *site) full(ctx context.Context, r *Report) error {
	if len(s.cfg.More) == 0 {
		return nil
	}
	n := s.cfg.More[len(s.cfg.More)-1]
	if err := s.publish(ctx, s.spread(n)); err != nil {
		return err
	}
	what := fmt.Sprintf("start vethwayd with %s containers and %s published ports, until it has gone through all", grouped(s.cfg.Containers), grouped(n))
	s.cfg.Log.Info(what, "rounds", s.cfg.Rounds)
	var samples []float64
	for range s.cfg.Rounds {
		if err := s.lab.Stop(); err != nil {
			return err
		}
		took, err := timed(func() error { return s.start(ctx) })
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		samples = append(samples, float64(took.Microseconds())/1e3)
	}
	r.Results = append(r.Results, result("start", what, "ms", samples))
	res, err := s.readMemory(ctx, "memory-full", n)
	if err != nil {
		return err
	}
	if s.cfg.Containers == DefaultContainers && n <= 65000 {
		res.Budget = memoryBudget / 1e6
	}
	r.Results = append(r.Results, res)
	return s.unpublish(ctx, s.spread(n))
}

// eachPort compares how much there is with as many published ports as the last number with how much there is with none.
func (s *site) eachPort(ctx context.Context, r *Report) error {
	if len(s.cfg.More) == 0 {
		return nil
	}
	n := s.cfg.More[len(s.cfg.More)-1]
	what := fmt.Sprintf("memory of a published port, of %s, in vethwayd and the kernel's tables", grouped(n))
	s.cfg.Log.Info(what, "rounds", s.cfg.Rounds)
	var samples []float64
	for range s.cfg.Rounds {
		without, err := s.footprint(ctx)
		if err != nil {
			return err
		}
		if err := s.publish(ctx, s.spread(n)); err != nil {
			return err
		}
		with, err := s.footprint(ctx)
		if err != nil {
			return err
		}
		samples = append(samples, (with-without)/float64(n))
		if err := s.unpublish(ctx, s.spread(n)); err != nil {
			return err
		}
	}
	res := result(portMemory, what, "bytes", samples)
	res.Count, res.Budget = n, portBudget
	r.Results = append(r.Results, res)
	return nil
}

// footprint is what the daemon has resident when it has just started, and what the kernel's tables take.
func (s *site) footprint(ctx context.Context) (float64, error) {
	if err := s.lab.Stop(); err != nil {
		return 0, err
	}
	if err := s.start(ctx); err != nil {
		return 0, err
	}
	if err := sleep(ctx, s.cfg.Settle/time.Duration(s.cfg.Rounds)); err != nil {
		return 0, err
	}
	resident, err := s.resident(ctx)
	if err != nil {
		return 0, err
	}
	tables, err := s.tables(ctx)
	return resident + tables, err
}

// start is over when the daemon has compared the host with its state once.
func (s *site) start(ctx context.Context) error {
	if err := s.lab.Restart(ctx); err != nil {
		return err
	}
	for {
		status, err := s.lab.Client.Status(ctx)
		if err != nil || !status.LastReconcile.IsZero() {
			return err
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}
