// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"errors"
	stdmaps "maps"
	"slices"
	"sync/atomic"

	"github.com/vethway/vethway/maps"
)

var errNoSlot = errors.New("too many endpoints and published ports: no slot is left")

// slots hands out indexes of the generations map. The doc comment of the package tells how.
type slots struct {
	generations *maps.Generations
	// now mirrors the map, each number marked with known; the map is too slow to read as a whole. It is written before
	// the map is: what a flow remembers is never newer than this, so a flow that differs from it is stale, even to a
	// reader that looks while Sync runs.
	now   []atomic.Uint64
	taken mirror[uint32, uint64]
	// quotas are what the endpoint that has a slot has used up: nobody may inherit that.
	quotas *maps.Quotas
	next   uint32 // where the search for a free slot goes on
}

// known marks a generation that was read.
const known = 1 << 32

func newSlots(g *maps.Generations, taken *maps.Incarnations, quotas *maps.Quotas) slots {
	return slots{
		generations: g, now: make([]atomic.Uint64, g.Len()), taken: newMirror(taken, cmp.Compare[uint32]), quotas: quotas,
		next: maps.RouteSlot + 1,
	}
}

func (s *slots) load() error { return s.taken.load() }

// generation of a slot. Flows name the slot, so any number may come.
func (s *slots) generation(slot uint32) (uint32, error) {
	if int(slot) >= len(s.now) {
		return 0, nil
	}
	if now := s.now[slot].Load(); now&known != 0 {
		return uint32(now), nil
	}
	generation, err := s.generations.Get(slot)
	if err != nil {
		return 0, err
	}
	// A bump that came in between knows better.
	s.now[slot].CompareAndSwap(0, uint64(generation)|known)
	return uint32(s.now[slot].Load()), nil
}

// holds reports whether the slot, at this generation, still belongs to what the digest stands for.
func (s *slots) holds(slot, generation uint32, digest uint64) (bool, error) {
	have, ok := s.taken.have[slot]
	if !ok || have != digest {
		return false, nil
	}
	now, err := s.generation(slot)
	return now == generation, err
}

// find chooses a slot that is neither taken nor in used.
func (s *slots) find(used map[uint32]uint64) (uint32, error) {
	// The last slot stays as it is for ever: flows of the host's own hang on it.
	last := uint32(len(s.now)) - 2
	for range last {
		slot := s.next
		if s.next++; s.next > last {
			s.next = maps.RouteSlot + 1
		}
		_, taken := s.taken.have[slot]
		if _, now := used[slot]; !taken && !now {
			return slot, nil
		}
	}
	return 0, errNoSlot
}

// take writes down the slots that are new in used, each with a generation that no flow remembers.
func (s *slots) take(used map[uint32]uint64) error {
	var fresh []uint32
	for slot := range used {
		if _, taken := s.taken.have[slot]; !taken {
			fresh = append(fresh, slot)
		}
	}
	if err := s.bump(fresh...); err != nil {
		return err
	}
	// A program that ran while the slot was given back may have put its quota there again.
	if err := s.quotas.Delete(fresh); err != nil {
		return err
	}
	return s.taken.add(used)
}

// unused lists the slots that are taken and not in used.
func (s *slots) unused(used map[uint32]uint64) []uint32 {
	var gone []uint32
	for slot := range s.taken.have {
		if _, ok := used[slot]; !ok {
			gone = append(gone, slot)
		}
	}
	slices.Sort(gone)
	return gone
}

// release gives slots back. Nothing may refer to them any more, and their generations must have gone up.
func (s *slots) release(gone []uint32) error {
	if len(gone) == 0 {
		return nil
	}
	if err := s.quotas.Delete(gone); err != nil {
		return err
	}
	keep := stdmaps.Clone(s.taken.have)
	for _, slot := range gone {
		delete(keep, slot)
	}
	// The search for a free slot does not come back to them soon: flows that await collection still name them.
	return s.taken.remove(keep)
}

// bump makes all flows of the slots stale.
func (s *slots) bump(slots ...uint32) error {
	values := make(map[uint32]uint32, len(slots))
	for _, slot := range slots {
		now, err := s.generation(slot)
		if err != nil {
			return err
		}
		values[slot] = now + 1
	}
	for slot, generation := range values {
		s.now[slot].Store(uint64(generation) | known)
	}
	if err := s.generations.Set(values); err != nil {
		for slot := range values {
			s.now[slot].Store(0) // some were written, some were not
		}
		return err
	}
	return nil
}
