// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// Counters says how much was dropped, where and why.
type Counters struct{ m *ebpf.Map }

// CounterKey is a hook and a reason, as numbers; Names spells them.
type CounterKey struct{ Hook, Reason uint32 }

// Counter is what was counted, on all CPUs together.
type Counter struct{ Packets, Bytes uint64 }

// Name of the map.
func (c *Counters) Name() string { return bpf.VethwayMapCounters }

// Each calls yield for every counter until it returns false. There are no more of them than hooks times reasons.
func (c *Counters) Each(yield func(CounterKey, Counter) bool) error {
	var key bpf.VethwayCounterKey
	var perCPU []bpf.VethwayCounterValue
	entries := c.m.Iterate()
	for entries.Next(&key, &perCPU) {
		if !yield(CounterKey{Hook: uint32(key.Hook), Reason: uint32(key.Reason)}, sum(perCPU)) {
			return nil
		}
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("read counters: %w", err)
	}
	return nil
}

// Lookup returns one counter, and false if nothing was counted yet.
func (c *Counters) Lookup(k CounterKey) (Counter, bool, error) {
	key := bpf.VethwayCounterKey{Hook: bpf.VethwayHook(k.Hook), Reason: bpf.VethwayDropReason(k.Reason)}
	var perCPU []bpf.VethwayCounterValue
	err := c.m.Lookup(&key, &perCPU)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return Counter{}, false, nil
	}
	if err != nil {
		return Counter{}, false, fmt.Errorf("look up in counters: %w", err)
	}
	return sum(perCPU), true, nil
}

func sum(perCPU []bpf.VethwayCounterValue) Counter {
	var total Counter
	for _, v := range perCPU {
		total.Packets += v.Packets
		total.Bytes += v.Bytes
	}
	return total
}

func (n Names) counterRow(k CounterKey, v Counter) Row {
	return Row{
		{"hook", n.Hook(k.Hook)},
		{"reason", n.Reason(k.Reason)},
		{"packets", v.Packets},
		{"bytes", v.Bytes},
	}
}

// parseCounterKey reads HOOK/REASON.
func (n Names) parseCounterKey(s string) (CounterKey, error) {
	hook, reason, ok := strings.Cut(s, "/")
	if !ok {
		return CounterKey{}, fmt.Errorf("%q: want HOOK/REASON, such as from-uplink/malformed", s)
	}
	h, err := number(n.hooks, "hook", hook)
	if err != nil {
		return CounterKey{}, err
	}
	r, err := number(n.reasons, "reason", reason)
	if err != nil {
		return CounterKey{}, err
	}
	return CounterKey{Hook: h, Reason: r}, nil
}
