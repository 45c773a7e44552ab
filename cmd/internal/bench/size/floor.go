// SPDX-License-Identifier: Apache-2.0

package size

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/floor"
)

// What the kernel alone takes, as results: the memory of flows in the least entries that translate, and the time to put ports into a hash.
const (
	leastFlows4   = "memory-flows-least-ipv4"
	leastFlows6   = "memory-flows-least-ipv6"
	portsLikeOurs = "kernel-batch"
	portsLeast    = "kernel-batch-least"
)

// leastFlows reads the memory of as many flows as flows does.
func (s *site) leastFlows(ctx context.Context, r *Report) error {
	for _, f := range []struct {
		name, what string
		ipv6       bool
	}{{leastFlows4, "IPv4", false}, {leastFlows6, "IPv6", true}} {
		var samples []float64
		for range s.cfg.Rounds {
			bytes, err := floor.Flows(Flows, f.ipv6)
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			samples = append(samples, bytes/mebibyte)
		}
		res := result(f.name, fmt.Sprintf("memory of %s flows, the least entries with %s tuples", grouped(Flows), f.what), "MiB", samples)
		res.Count = Flows
		r.Results = append(r.Results, res)
	}
	return nil
}

func leastPorts(ctx context.Context, n, rounds int) ([]Result, error) {
	var ours, least []float64
	for range rounds {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		likeOurs, fastest, err := floor.Ports(n)
		if err != nil {
			return nil, err
		}
		ours, least = append(ours, milliseconds(likeOurs)), append(least, milliseconds(fastest))
	}
	list := []Result{
		result(portsLikeOurs, fmt.Sprintf("the kernel alone: the entries of %s ports into a hash like `published`, by one batch", grouped(n)), "ms", ours),
		result(portsLeast, fmt.Sprintf("the kernel alone, at its least: one entry for each of %s ports, memory taken beforehand", grouped(n)), "ms", least),
	}
	for i := range list {
		list[i].Count = n
	}
	return list, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
