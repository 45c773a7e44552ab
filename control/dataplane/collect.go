// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/maps"
)

const (
	// orphanAge is how old half a session must be, in seconds, before it counts as one: the programs make and delete
	// the two entries one after the other.
	orphanAge = 3
	// pressureNumerator / pressureDenominator of the table may be taken before flows are collected early.
	pressureNumerator, pressureDenominator = 3, 4
	// closedAge is how long a closed TCP session is kept even then, in seconds: late segments still find their way.
	closedAge = 2
)

// collector is one run of Collect.
type collector struct {
	d        *Dataplane
	seed     maphash.Seed
	suspects map[uint64]bool // halves that were alone in the last run
	alone    map[uint64]bool // halves that are, so far, in this one
	bound    map[uint64]bool // bindings that have flows
	entries  int
	deleted  int
}

// Collect implements control.Dataplane. Whether a flow goes is decided on a snapshot; that nothing has happened to it
// since is checked in the kernel, next to the delete.
func (d *Dataplane) Collect(ctx context.Context) (int, error) {
	d.collecting.Lock()
	defer d.collecting.Unlock()
	c := &collector{d: d, seed: d.seed, suspects: d.unpaired, alone: make(map[uint64]bool), bound: make(map[uint64]bool)}
	if err := c.scan(ctx, c.visit); err != nil {
		return c.deleted, fmt.Errorf("collect flows: %w", err)
	}
	d.unpaired = c.alone
	allowed := d.maps.Flows.Capacity() * pressureNumerator / pressureDenominator
	if left := c.entries - 2*c.deleted; left > allowed {
		if err := c.relieve(ctx, (left-allowed+1)/2); err != nil {
			return c.deleted, fmt.Errorf("collect flows: %w", err)
		}
	}
	if err := c.bindings(ctx); err != nil {
		return c.deleted, fmt.Errorf("collect bindings: %w", err)
	}
	return c.deleted, nil
}

func (c *collector) scan(ctx context.Context, visit func(maps.FlowKey, maps.Flow) error) error {
	var inner error
	err := c.d.maps.Flows.Each(func(key maps.FlowKey, flow maps.Flow) bool {
		if inner = ctx.Err(); inner == nil {
			inner = visit(key, flow)
		}
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	return err
}

func (c *collector) visit(key maps.FlowKey, flow maps.Flow) error {
	c.entries++
	if flow.Flags&maps.FlowReply != 0 {
		return c.visitReply(key, flow)
	}
	c.toggle(flow.Reverse(key.Proto))
	if key.Proto != unix.IPPROTO_TCP && flow.Flags&maps.FlowNATSource != 0 {
		c.bound[maphash.Comparable(c.seed, maps.BindingOf(key, flow))] = true
	}
	age := time.Duration(maps.Age(c.now(), flow.Seen)) * time.Second
	generation, err := c.d.slots.generation(flow.Slot)
	if err != nil {
		return err
	}
	if flow.Generation == generation && age < c.d.cfg.Timeouts.shortest(key.Proto) {
		return nil // without a look at the other entry
	}
	s, err := c.d.pair(key, flow)
	if err != nil {
		return err
	}
	if s.stale() || time.Duration(s.idle())*time.Second >= c.d.cfg.Timeouts.of(&s) {
		return c.delete(&s)
	}
	return nil
}

// visitReply looks at the answering side's entry. It goes with the other one, unless there is none.
func (c *collector) visitReply(key maps.FlowKey, flow maps.Flow) error {
	alone := c.toggle(key)
	age := maps.Age(c.now(), flow.Seen)
	generation, err := c.d.slots.generation(flow.Slot)
	if err != nil {
		return err
	}
	if age < orphanAge || flow.Generation == generation && !c.suspects[alone] {
		return nil
	}
	original := flow.Reverse(key.Proto)
	_, found, err := c.d.maps.Flows.Lookup(original)
	if err != nil || found {
		return err
	}
	s := session{key: key, flow: flow, replyKey: original}
	return c.delete(&s)
}

// toggle notes one half of the session with this reply key, or strikes the other half out; what remains at the end of a
// run are halves. A digest of the key is enough: what it finds is looked at before it is deleted.
func (c *collector) toggle(reply maps.FlowKey) uint64 {
	h := maphash.Comparable(c.seed, reply)
	if c.alone[h] {
		delete(c.alone, h)
	} else {
		c.alone[h] = true
	}
	return h
}

func (c *collector) now() uint32 { return uint32(c.d.cfg.Clock() / time.Second) }

func (c *collector) delete(s *session) error {
	gone, err := c.d.loader.Collect(s.key, s.replyKey, s.flow.Seen, s.reply.Seen)
	if gone {
		c.deleted++
	}
	return err
}

// shortest is the least idle time after which a session of this protocol may go.
func (t *Timeouts) shortest(proto uint8) time.Duration {
	switch proto {
	case unix.IPPROTO_TCP:
		return min(t.TCPTransitory, t.TCPEstablished)
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return t.ICMP
	}
	return min(t.UDPOneWay, t.UDPTwoWay)
}

// relieve makes room in a table that is nearly full: closed sessions go at once, and then, until there is enough room,
// those that nobody has answered yet, the longest idle first. Live ones stay (RFC 6888 REQ-11).
func (c *collector) relieve(ctx context.Context, need int) error {
	var young []session
	before := c.deleted
	err := c.scan(ctx, func(key maps.FlowKey, flow maps.Flow) error {
		if flow.Flags&maps.FlowReply != 0 {
			return nil
		}
		s, err := c.d.pair(key, flow)
		if err != nil {
			return err
		}
		switch {
		case s.closed() && s.idle() >= closedAge:
			return c.delete(&s)
		case s.embryonic():
			young = append(young, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(young, func(a, b session) int { return cmp.Compare(b.idle(), a.idle()) })
	for i := range young {
		if c.deleted-before >= need {
			return nil
		}
		if err := c.delete(&young[i]); err != nil {
			return err
		}
	}
	return nil
}
