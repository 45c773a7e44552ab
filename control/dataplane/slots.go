// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/vethway/vethway/maps"
)

var errNoSlot = errors.New("too many endpoints and published ports: no slot is left")

// slots hands out indexes of the generations map. The doc comment of the package tells how.
type slots struct {
	generations *maps.Generations
	// now mirrors the map. It is written before the map is: what a flow remembers is never newer than this, so a
	// flow that differs from it is stale, even to a reader that looks while Sync runs.
	now   []atomic.Uint32
	known bool
	taken mirror[uint32, uint64]
	next  uint32 // where the search for a free slot goes on
}

func newSlots(g *maps.Generations, taken *maps.Incarnations) slots {
	return slots{
		generations: g, now: make([]atomic.Uint32, g.Len()), taken: newMirror(taken, cmp.Compare[uint32]), next: maps.RouteSlot + 1,
	}
}

func (s *slots) load() error {
	if err := s.taken.load(); err != nil {
		return err
	}
	if s.known {
		return nil
	}
	numbers := make(map[uint32]uint32)
	err := s.generations.Each(func(slot, generation uint32) bool {
		numbers[slot] = generation
		return true
	})
	if err != nil {
		return err
	}
	for slot := range s.now {
		s.now[slot].Store(numbers[uint32(slot)])
	}
	s.known = true
	return nil
}

// generation of a slot.
func (s *slots) generation(slot uint32) uint32 {
	if int(slot) >= len(s.now) {
		return 0
	}
	return s.now[slot].Load()
}

// holds reports whether the slot, at this generation, still belongs to what the digest stands for.
func (s *slots) holds(slot, generation uint32, digest uint64) bool {
	have, ok := s.taken.have[slot]
	return ok && have == digest && s.generation(slot) == generation
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
	_, err := s.taken.add(used)
	return err
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
	keep := make(map[uint32]uint64, len(s.taken.have))
	for slot, digest := range s.taken.have {
		keep[slot] = digest
	}
	for _, slot := range gone {
		delete(keep, slot)
	}
	_, err := s.taken.remove(keep)
	return err
}

// bump makes all flows of the slots stale.
func (s *slots) bump(slots ...uint32) error {
	values := make(map[uint32]uint32, len(slots))
	for _, slot := range slots {
		values[slot] = s.now[slot].Add(1)
	}
	if err := s.generations.Set(values); err != nil {
		s.known = false
		return err
	}
	return nil
}
