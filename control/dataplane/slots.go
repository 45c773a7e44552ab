// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/vethway/vethway/maps"
)

// errNoSlot is not seen while there are fewer endpoints and published ports than slots.
var errNoSlot = errors.New("too many endpoints and published ports: no slot is left")

// slots gives slots to endpoints and published ports, and counts their generations. Both maps are shared memory, so that what
// is read here is what programs read at this moment: a flow that remembers another generation is stale.
type slots struct {
	generations *maps.Memory[uint32]
	// digests say what each slot that is taken was given for.
	digests *maps.Memory[uint64]
	taken   slotSet // those with a digest
	known   bool
	// quotas are what the endpoint that has a slot has used up: nobody may inherit that.
	quotas *maps.Quotas
	next   uint32 // where the search for a free slot goes on
}

func newSlots(m *maps.Set) (slots, error) {
	generations, err := m.Generations.Memory()
	if err != nil {
		return slots{}, err
	}
	digests, err := m.Incarnations.Memory()
	if err != nil {
		return slots{}, err
	}
	n := generations.Len()
	if n != digests.Len() || n < 64 || n%64 != 0 {
		return slots{}, fmt.Errorf("%d generations and %d incarnations: want as many, and a multiple of 64", n, digests.Len())
	}
	return slots{
		generations: generations, digests: digests, taken: newSlotSet(n), quotas: m.Quotas, next: maps.RouteSlot + 1,
	}, nil
}

// load finds out which slots are taken. From then on, nobody else changes that.
func (s *slots) load() {
	for slot := uint32(maps.RouteSlot + 1); !s.known && slot < s.taken.len(); slot++ {
		if s.digests.Get(slot) != 0 {
			s.taken.add(slot, 1)
		}
	}
	s.known = true
}

// generation of a slot now; of one that does not exist it is 0, as for the programs.
func (s *slots) generation(slot uint32) uint32 {
	if slot >= s.generations.Len() {
		return 0
	}
	return s.generations.Get(slot)
}

// holds reports whether a slot belongs, in this generation, to what the digest stands for.
func (s *slots) holds(slot, generation uint32, digest uint64) bool {
	return s.digest(slot, generation) == digest
}

// digest is what a slot was given for in this generation; 0: nothing that is still there.
func (s *slots) digest(slot, generation uint32) uint64 {
	if slot == maps.RouteSlot || slot >= s.taken.len() || s.generations.Get(slot) != generation {
		return 0
	}
	return s.digests.Get(slot)
}

// find returns up to n slots in a row that are neither taken nor planned, and that were not given back lately: flows of
// whoever had them before may still await collection.
func (s *slots) find(p *slotPlan, n uint32) (first, count uint32, err error) {
	// The last slot stays as it is for ever: flows of the host's own hang on it.
	last := s.taken.len() - 2
	for range 2 {
		for slot := s.next; slot <= last; {
			if busy := s.taken[slot/64] | p.all[slot/64]; busy>>(slot%64)&1 != 0 {
				slot += uint32(bits.TrailingZeros64(^(busy >> (slot % 64)))) // at the end of a word, on to the next
				continue
			}
			for count = 1; count < n && slot+count <= last && !s.taken.has(slot+count) && !p.all.has(slot+count); {
				count++
			}
			s.next = slot + count
			return slot, count, nil
		}
		s.next = maps.RouteSlot + 1
	}
	return 0, 0, errNoSlot
}

// take enters the slots that a plan gives away. Their generations go up, also in case a crash kept that from happening
// when they were given back.
func (s *slots) take(p *slotPlan) error {
	for _, g := range p.given {
		for slot := g.first; slot < g.first+g.count; slot++ {
			s.bump(slot)
			s.digests.Set(slot, g.digest)
		}
		s.taken.add(g.first, g.count)
	}
	// A program that ran while the slot was given back may have put its quota there again.
	return s.quotas.Delete(p.toEndpoints)
}

// unused calls yield for the slots that are taken, but not part of the plan.
func (s *slots) unused(p *slotPlan, yield func(slot uint32)) {
	for i, word := range s.taken {
		for word &^= p.all[i]; word != 0; word &= word - 1 {
			yield(uint32(i*64 + bits.TrailingZeros64(word)))
		}
	}
}

// release gives back the slots that are taken, but not part of the plan.
func (s *slots) release(p *slotPlan) error {
	var gone []uint32
	s.unused(p, func(slot uint32) { gone = append(gone, slot) })
	if len(gone) == 0 {
		return nil
	}
	// Few slots have a quota: to look which is cheaper than to delete what is not there.
	var used []uint32
	err := s.quotas.Each(func(slot uint32, _ maps.Quota) bool {
		if !p.all.has(slot) {
			used = append(used, slot)
		}
		return true
	})
	if err != nil {
		return err
	}
	if err := s.quotas.Delete(used); err != nil {
		return err
	}
	// The search for a free slot does not come back to them soon: flows that await collection still name them.
	for _, slot := range gone {
		s.digests.Set(slot, 0)
		s.taken.remove(slot)
	}
	return nil
}

// bump makes the flows of a slot stale.
func (s *slots) bump(slot uint32) { s.generations.Set(slot, s.generations.Get(slot)+1) }

// slotPlan is which slots are to be taken.
type slotPlan struct {
	all         slotSet
	given       []givenSlots
	toEndpoints []uint32 // those of given that endpoints get
}

// givenSlots are slots in a row that were free, and what they are for.
type givenSlots struct {
	first, count uint32
	digest       uint64
}

// slot returns the slot and generation that an endpoint had, if it is still the same, and new ones otherwise.
func (d *Dataplane) slot(p *slotPlan, slot, generation uint32, digest uint64) (uint32, uint32, error) {
	if !p.all.has(slot) && d.slots.holds(slot, generation, digest) {
		p.all.add(slot, 1)
		return slot, generation, nil
	}
	slot, _, err := d.slots.find(p, 1)
	if err != nil {
		return 0, 0, err
	}
	p.give(slot, 1, digest)
	p.toEndpoints = append(p.toEndpoints, slot)
	// It goes up when the slot is taken.
	return slot, d.slots.generation(slot) + 1, nil
}

func (p *slotPlan) give(first, count uint32, digest uint64) {
	p.all.add(first, count)
	p.given = append(p.given, givenSlots{first, count, digest})
}

// slotSet is a set of slots, a bit for each.
type slotSet []uint64

func newSlotSet(n uint32) slotSet { return make(slotSet, (n+63)/64) }

// len is how many slots there are, which is always a multiple of 64.
func (s slotSet) len() uint32 { return uint32(len(s)) * 64 }

func (s slotSet) has(slot uint32) bool {
	return slot < s.len() && s[slot/64]>>(slot%64)&1 != 0
}

func (s slotSet) add(first, count uint32) {
	for slot := first; slot < first+count; slot++ {
		s[slot/64] |= 1 << (slot % 64)
	}
}

func (s slotSet) remove(slot uint32) { s[slot/64] &^= 1 << (slot % 64) }

// overlaps reports whether one of the slots is in the set.
func (s slotSet) overlaps(first, count uint32) bool {
	for slot := first; slot < first+count; slot++ {
		if s.has(slot) {
			return true
		}
	}
	return false
}
