// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"

	"github.com/vethway/vethway/maps"
)

// half is what is remembered of one side of a session until the other is met: the table may hold hundreds of thousands,
// and a look-up for each would cost more than the scan.
type half struct {
	seen     uint32
	owner    uint32
	tcpFlags uint8
	answered bool
	stale    bool
	keeps    bool
	holds    bool
}

// pairs scans tables: visit is called for every entry, and met for every session, when its second entry comes by,
// with as much as is needed to judge it. It returns the digests of the reply keys of halves that stayed alone.
func (c *collector) pairs(ctx context.Context, tables []*maps.FlowTable, visit func(maps.FlowKey, maps.Flow, uint64) error, met func(*session) error) (map[uint64]bool, error) {
	alone := make(map[uint64]bool)
	for _, table := range tables {
		waiting := make(map[uint64]half)
		var inner error
		err := table.Each(func(key maps.FlowKey, flow maps.Flow) bool {
			inner = c.pairUp(waiting, key, flow, visit, met)
			if inner == nil {
				inner = ctx.Err()
			}
			return inner == nil
		})
		if err = cmp.Or(err, inner); err != nil {
			return nil, err
		}
		for digest := range waiting {
			alone[digest] = true
		}
	}
	return alone, nil
}

func (c *collector) pairUp(waiting map[uint64]half, key maps.FlowKey, flow maps.Flow, visit func(maps.FlowKey, maps.Flow, uint64) error, met func(*session) error) error {
	generation := c.d.slots.generation(flow.Slot) // after the entry: what that remembers is never newer
	if flow.Flags&maps.FlowRetired != 0 {
		// It has no other half any more.
		return errors.Join(visit(key, flow, 0), c.release(key, &flow))
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
		seen: flow.Seen, tcpFlags: flow.TCPFlags, answered: flow.Packets > 0,
		stale: flow.Generation != generation, keeps: c.policy.keeps(&key, &flow),
		holds: holdsPort(&flow),
	}
	if len(c.tight) > 0 {
		this.owner = c.policy.places.owner(&key, &flow)
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
	s.network, s.owner = c.policy.networkToJudge(&key, &flow), ours.owner
	s.keeps, s.holdsPort = [2]bool{ours.keeps, theirs.keeps}, ours.holds
	s.flow = maps.Flow{Seen: ours.seen, TCPFlags: ours.tcpFlags}
	s.reply = maps.Flow{Seen: theirs.seen, TCPFlags: theirs.tcpFlags}
	if theirs.answered {
		s.reply.Packets = 1
	}
	if ours.stale || theirs.stale {
		s.generation = s.flow.Generation + 1
	}
	return met(s)
}
