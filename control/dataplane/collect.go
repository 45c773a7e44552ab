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
	d       *Dataplane
	policy  *policy
	tight   map[uint32]bool // slots of containers that are about to use up their quota
	seed    maphash.Seed
	now     uint32           // when it began; what was seen since is no older than nothing
	bound   map[uint64]int32 // how many entries hang on each binding
	closed  map[uint64]bool  // bindings of TCP whose last sessions were seen being closed
	entries [2]int           // of IPv4 and IPv6
	freed   [2]int           // of these
	deleted int              // sessions
	// relieving: there must be room, also at the cost of what had better stay a little longer.
	relieving bool
	session   session // the one being judged; hundreds of thousands are
}

// Collect implements control.Dataplane. Whether a flow goes is decided on a snapshot; that nothing has happened to it
// since is checked in the kernel, next to the delete. Before the first Sync nothing goes.
func (d *Dataplane) Collect(ctx context.Context) (int, error) {
	d.collecting.Lock()
	defer d.collecting.Unlock()
	c := &collector{d: d, policy: d.policy.Load(), seed: d.seed, now: uint32(d.cfg.Clock() / time.Second)}
	c.bound, c.closed = make(map[uint64]int32), make(map[uint64]bool)
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
	tables := c.d.maps.Flows.Tables()
	alone, err := c.pairs(ctx, tables, c.visit, func(s *session) error {
		switch {
		case c.expired(s) && c.rests(s):
			return c.judge(s, c.rests, c.retire)
		case c.expired(s):
			return c.deleteIf(s, c.expired)
		case c.tight[s.owner] && overdue(s):
			return c.deleteIf(s, overdue)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.d.unpaired = alone
	// Either table may be full by itself.
	for family, table := range tables {
		allowed := table.Capacity() * pressureNumerator / pressureDenominator
		if left := c.entries[family] - c.freed[family]; left > allowed {
			if err := c.relieve(ctx, family, left-allowed); err != nil {
				return err
			}
		}
	}
	return nil
}

// free counts entries that are gone.
func (c *collector) free(key *maps.FlowKey, n int) { c.freed[familyOf(key.Src.Addr())] += n }

func (c *collector) expired(s *session) bool {
	return s.stale() || time.Duration(s.idle())*time.Second >= c.policy.timeout(s)
}

// rests is expired where the port is to be kept from others for a while.
func (c *collector) rests(s *session) bool { return c.expired(s) && c.policy.rests(s) }

// overdue sessions are over, and kept for late segments only: where room is needed, they are the first to go.
func overdue(s *session) bool { return s.closed() && s.silent() >= closedAge }

// visit sees every entry.
func (c *collector) visit(key maps.FlowKey, flow maps.Flow, digest uint64) error {
	c.entries[familyOf(key.Src.Addr())]++
	if c.policy.holdsBinding(&key, &flow) {
		c.bound[maphash.Comparable(c.seed, maps.BindingOf(key, flow))]++
	}
	if !c.d.unpaired[digest] || maps.Age(c.now, flow.Seen) < orphanAge {
		return nil
	}
	// It was alone in the last run. Half a session holds a NAT port, or sends where no answer comes back from.
	other := flow.Reverse(key.Proto)
	_, found, err := c.d.maps.Flows.Lookup(other)
	if err != nil || found {
		return err
	}
	return c.delete(key, other, flow.Seen, 0)
}

// deleteIf deletes a session if it is still of that kind.
func (c *collector) deleteIf(s *session, kind func(*session) bool) error {
	return c.judge(s, kind, func(whole *session) error {
		deleted := c.deleted
		err := c.delete(whole.key, whole.replyKey, whole.flow.Seen, whole.reply.Seen)
		if c.deleted > deleted {
			c.unbind(whole)
		}
		return err
	})
}

// unbind takes a deleted session off the bindings that it held. Should that be wrong by one, the next run knows better.
func (c *collector) unbind(s *session) {
	for _, e := range [...]struct {
		key  *maps.FlowKey
		flow *maps.Flow
	}{{&s.key, &s.flow}, {&s.replyKey, &s.reply}} {
		if !c.policy.holdsBinding(e.key, e.flow) {
			continue
		}
		h := maphash.Comparable(c.seed, maps.BindingOf(*e.key, *e.flow))
		c.bound[h]--
		if s.key.Proto == unix.IPPROTO_TCP {
			before, known := c.closed[h]
			c.closed[h] = s.closed() && (before || !known)
		}
	}
}

// judge looks at a session's entries once more, as a whole, and acts if it is still of that kind.
func (c *collector) judge(s *session, kind func(*session) bool, act func(*session) error) error {
	flow, ok, err := c.d.maps.Flows.Lookup(s.key)
	if err != nil || !ok {
		return err
	}
	whole, err := c.d.pair(s.key, flow)
	if err != nil || whole.replyKey != s.replyKey || !kind(&whole) {
		return err
	}
	return act(&whole)
}

// retire deletes a session, and leaves of it what keeps its port from others.
func (c *collector) retire(s *session) error {
	gone, err := c.d.loader.Retire(s.key, s.replyKey, s.flow.Seen, s.reply.Seen)
	if gone {
		c.deleted++
		c.free(&s.key, 1)
	}
	return err
}

// release lets go of a port that has rested. The reply's key comes first, as that of what is to be deleted: under the other there
// may be another session by now.
func (c *collector) release(key maps.FlowKey, flow *maps.Flow) error {
	rested := time.Duration(maps.Age(c.now, flow.Seen)) * time.Second
	if !c.relieving && rested < c.policy.timeouts(c.policy.networkToJudge(&key, flow)).PortRest {
		return nil
	}
	gone, err := c.d.loader.Collect(key, flow.Reverse(key.Proto), flow.Seen, 0)
	if gone {
		c.free(&key, 1)
	}
	return err
}

func (c *collector) delete(key, other maps.FlowKey, seen, otherSeen uint32) error {
	gone, err := c.d.loader.Collect(key, other, seen, otherSeen)
	if gone {
		c.deleted++
		c.free(&key, 2)
	}
	return err
}

// relieve makes room for so many entries in a family's table that is nearly full: ports rest no longer, closed sessions go at once, and
// then, until there is enough room, those that nobody has answered yet, the longest idle first. Live ones stay (RFC 6888
// REQ-11).
func (c *collector) relieve(ctx context.Context, family, need int) error {
	before, most := c.freed[family], (need+1)/2
	type candidate struct {
		key, replyKey maps.FlowKey
		idle          uint32
	}
	var young []candidate
	longestIdleFirst := func(a, b candidate) int { return cmp.Compare(b.idle, a.idle) }
	nothing := func(maps.FlowKey, maps.Flow, uint64) error { return nil }
	c.relieving = true
	defer func() { c.relieving = false }()
	_, err := c.pairs(ctx, c.d.maps.Flows.Tables()[family:family+1], nothing, func(s *session) error {
		switch {
		case overdue(s):
			return c.deleteIf(s, overdue)
		case s.embryonic():
			if young = append(young, candidate{s.key, s.replyKey, s.idle()}); len(young) >= 2*most {
				slices.SortFunc(young, longestIdleFirst)
				young = young[:most]
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(young, longestIdleFirst)
	for _, y := range young {
		if c.freed[family]-before >= need {
			return nil
		}
		if err := c.deleteIf(&session{key: y.key, replyKey: y.replyKey}, (*session).embryonic); err != nil {
			return err
		}
	}
	return nil
}
