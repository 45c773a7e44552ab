// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/vethway/vethway/maps"
)

// bindings collects the external ports on which no flow hangs any more, once they have rested; stale ones, and all
// when the table is nearly full, at once. It needs to know from the scan of the flows which are in use; that no flow
// was made since is checked in the kernel.
func (c *collector) bindings(ctx context.Context) error {
	table, now := c.d.maps.Bindings, c.d.cfg.Clock()
	type candidate struct {
		key  maps.BindingKey
		seen uint32
		due  bool
	}
	var unused []candidate
	resting := make(map[uint64]time.Duration)
	entries := 0
	var inner error
	err := table.Each(func(key maps.BindingKey, b maps.Binding) bool {
		entries++
		if !key.Inside {
			return true // it goes with the other one
		}
		h := maphash.Comparable(c.seed, key)
		if c.d.slots.generation(b.Slot) != b.Generation {
			unused = append(unused, candidate{key, b.Seen, true})
		} else if !c.bound[h] {
			since, known := c.d.resting[h]
			if !known {
				since = now
			}
			resting[h] = since
			unused = append(unused, candidate{key, b.Seen, now-since >= c.policy.timeouts(b.Network).PortRest})
		}
		inner = ctx.Err()
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return err
	}
	c.d.resting = resting
	full := entries > table.Capacity()*pressureNumerator/pressureDenominator
	for _, u := range unused {
		// A binding is a moment older than its first flow.
		if !full && !u.due || maps.Age(c.now, u.seen) < orphanAge {
			continue
		}
		if _, err := c.d.loader.CollectBinding(u.key, u.seen); err != nil {
			return err
		}
	}
	return nil
}
