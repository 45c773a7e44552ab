// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/maps"
	"hash/maphash"
	"slices"
	"time"
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
	d       *Dataplane
	policy  *policy
	tight   map[uint32]bool // slots of containers that are about to use up their quota
	seed    maphash.Seed
	now     uint32          // when it began; what was seen since is no older than nothing
	bound   map[uint64]bool // bindings that have flows
	entries int
	deleted int
	session session // the one being judged; hundreds of thousands are
	pressed bool    // the table is nearly full: nothing rests
}

// Collect implements control.Dataplane. Whether a flow goes is decided on a snapshot; that nothing has happened to it
// since is checked in the kernel, next to the delete. Before the first Sync nothing goes.
func (d *Dataplane) Collect(ctx context.Context) (int, error) {
	d.collecting.Lock()
	defer d.collecting.Unlock()
	c := &collector{d: d, policy: d.policy.Load(), seed: d.seed, now: uint32(d.cfg.Clock() / time.Second), bound: make(map[uint64]bool)}
	if !c.policy.told {
		return 0, nil
	}
	var err error
	if c.tight, err = d.tightQuotas(c.policy.maxFlows); err != nil {
		return 0, fmt.Errorf("collect flows: %w", err)
	}
	if err := c.flows(ctx); err != nil {
		return c.deleted, fmt.Errorf("collect flows: %w", err)
	}
	if err := c.bindings(ctx); err != nil {
		return c.deleted, fmt.Errorf("collect bindings: %w", err)
	}
	return c.deleted, nil
}

func (c *collector) flows(ctx context.Context) error {
	alone, err := c.pairs(ctx, c.visit, func(s *session) error {
		switch {
		case c.expired(s):
			return c.deleteIf(s, c.expired)
		case c.tight[s.flow.Owner] && overdue(s):
			return c.deleteIf(s, overdue)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.d.unpaired = alone
	allowed := c.d.maps.Flows.Capacity() * pressureNumerator / pressureDenominator
	if left := c.entries - 2*c.deleted; left > allowed {
		c.pressed = true
		return c.relieve(ctx, (left-allowed+1)/2)
	}
	return nil
}

func (c *collector) expired(s *session) bool {
	return s.stale() || time.Duration(s.idle())*time.Second >= c.policy.timeout(s)
}

// overdue sessions are over, and kept for late segments only: where room is needed, they are the first to go.
func overdue(s *session) bool { return s.closed() && s.silent() >= closedAge }

// visit sees every entry.
func (c *collector) visit(key maps.FlowKey, flow maps.Flow, digest uint64) error {
	c.entries++
	if holdsBinding(&key, &flow) {
		c.bound[maphash.Comparable(c.seed, maps.BindingOf(key, flow))] = true
	}
	if !c.d.unpaired[digest] || maps.Age(c.now, flow.Seen) < orphanAge {
		return nil
	}
	if flow.Flags&maps.FlowRetired != 0 && time.Duration(maps.Age(c.now, flow.Seen))*time.Second < c.policy.timeouts(flow.Network).PortRest {
		generation, err := c.d.slots.generation(flow.Slot)
		if err != nil || generation == flow.Generation {
			return err // the port rests
		}
	}
	// It was alone in the last run. Half a session holds a NAT port, or sends where no answer comes back from.
	other := flow.Reverse(key.Proto)
	_, found, err := c.d.maps.Flows.Lookup(other)
	if err != nil || found {
		return err
	}
	return c.delete(key, other, flow.Seen, 0)
}

// half is what is remembered of one side of a session until the other is met: the table may hold hundreds of thousands,
// and a look-up for each would cost more than the scan.
type half struct {
	seen     uint32
	owner    uint32
	tcpFlags uint8
	answered bool
	stale    bool
	keeps    bool
}

// pairs scans the table: visit is called for every entry, and met for every session, when its second entry comes by,
// with as much as is needed to judge it. It returns the digests of the reply keys of halves that stayed alone.
func (c *collector) pairs(ctx context.Context, visit func(maps.FlowKey, maps.Flow, uint64) error, met func(*session) error) (map[uint64]bool, error) {
	waiting := make(map[uint64]half)
	var inner error
	err := c.d.maps.Flows.Each(func(key maps.FlowKey, flow maps.Flow) bool {
		inner = c.pairUp(waiting, key, flow, visit, met)
		if inner == nil {
			inner = ctx.Err()
		}
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	alone := make(map[uint64]bool, len(waiting))
	for digest := range waiting {
		alone[digest] = true
	}
	return alone, err
}

func (c *collector) pairUp(waiting map[uint64]half, key maps.FlowKey, flow maps.Flow, visit func(maps.FlowKey, maps.Flow, uint64) error, met func(*session) error) error {
	generation, err := c.d.slots.generation(flow.Slot)
	if err != nil {
		return err
	}
	isReply := flow.Flags&maps.FlowReply != 0
	s := &c.session
	*s = session{key: key, replyKey: flow.Reverse(key.Proto), hasReply: true, now: c.now}
	if isReply {
		s.key, s.replyKey = s.replyKey, s.key
	}
	digest := maphash.Comparable(c.seed, s.replyKey)
	if err := visit(key, flow, digest); err != nil {
		return err
	}
	this := half{
		seen: flow.Seen, owner: flow.Owner, tcpFlags: flow.TCPFlags, answered: flow.Packets > 0,
		stale: flow.Generation != generation, keeps: c.policy.keeps(&flow),
	}
	other, ok := waiting[digest]
	if !ok {
		waiting[digest] = this
		return nil
	}
	delete(waiting, digest)
	ours, theirs := this, other
	if isReply {
		ours, theirs = other, this
	}
	s.network, s.keeps = flow.Network, [2]bool{ours.keeps, theirs.keeps}
	s.flow = maps.Flow{Seen: ours.seen, Owner: ours.owner, TCPFlags: ours.tcpFlags}
	s.reply = maps.Flow{Seen: theirs.seen, TCPFlags: theirs.tcpFlags}
	if theirs.answered {
		s.reply.Packets = 1
	}
	if ours.stale || theirs.stale {
		s.generation = s.flow.Generation + 1
	}
	return met(s)
}

// deleteIf looks at a session's entries once more, as a whole, and deletes them if it is still of that kind.
func (c *collector) deleteIf(s *session, kind func(*session) bool) error {
	flow, ok, err := c.d.maps.Flows.Lookup(s.key)
	if err != nil || !ok {
		return err
	}
	whole, err := c.d.pair(s.key, flow)
	if err != nil || whole.replyKey != s.replyKey || !kind(&whole) {
		return err
	}
	if !overdue(&whole) && c.rests(&whole) {
		gone, err := c.d.loader.Retire(whole.key, whole.replyKey, whole.flow.Seen, whole.reply.Seen)
		if gone {
			c.deleted++
		}
		return err
	}
	return c.delete(whole.key, whole.replyKey, whole.flow.Seen, whole.reply.Seen)
}

// rests reports whether the NAT port of a session that is over must rest before another container may have it: its far
// end may not know yet (RFC 6888 REQ-8). Those of other protocols rest with their bindings.
func (c *collector) rests(s *session) bool {
	return !c.pressed && s.key.Proto == unix.IPPROTO_TCP && s.hasReply && s.flow.Kind == maps.FlowMasquerade && s.flow.Flags&maps.FlowNATSource != 0 &&
		!s.closed() && !s.stale() && c.policy.timeouts(s.flow.Network).PortRest > 0
}

func (c *collector) delete(key, other maps.FlowKey, seen, otherSeen uint32) error {
	gone, err := c.d.loader.Collect(key, other, seen, otherSeen)
	if gone {
		c.deleted++
	}
	return err
}

// relieve makes room in a table that is nearly full: closed sessions go at once, and then, until there is enough room,
// those that nobody has answered yet, the longest idle first. Live ones stay (RFC 6888 REQ-11).
func (c *collector) relieve(ctx context.Context, need int) error {
	before := c.deleted
	type candidate struct {
		key, replyKey maps.FlowKey
		idle          uint32
	}
	var young []candidate
	longestIdleFirst := func(a, b candidate) int { return cmp.Compare(b.idle, a.idle) }
	nothing := func(maps.FlowKey, maps.Flow, uint64) error { return nil }
	_, err := c.pairs(ctx, nothing, func(s *session) error {
		switch {
		case overdue(s):
			return c.deleteIf(s, overdue)
		case s.embryonic():
			if young = append(young, candidate{s.key, s.replyKey, s.idle()}); len(young) >= 2*need {
				slices.SortFunc(young, longestIdleFirst)
				young = young[:need]
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(young, longestIdleFirst)
	for _, y := range young {
		if c.deleted-before >= need {
			return nil
		}
		if err := c.deleteIf(&session{key: y.key, replyKey: y.replyKey}, (*session).embryonic); err != nil {
			return err
		}
	}
	return nil
}
