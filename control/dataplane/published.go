// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"encoding/binary"
	"fmt"
	stdmaps "maps"
	"net/netip"
	"slices"
	"sort"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// published keeps the map of published ports. What it holds is remembered as runs, since there may be very many ports that
// differ in nothing but their number.
type published struct {
	table *maps.Published
	have  map[face][]run // in the order of ports
	known bool
}

// face is where ports are published: an address of the host's, and a protocol.
type face struct {
	addr  netip.Addr
	proto uint8
}

// rank is 0 for specific addresses and 1 for the unspecified ones, whose ports those take: they come first and go last.
func (f face) rank() int {
	if f.addr.IsUnspecified() {
		return 1
	}
	return 0
}

func facesInOrder[V any](all map[face]V) []face {
	return slices.SortedFunc(stdmaps.Keys(all), func(a, b face) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), a.addr.Compare(b.addr), cmp.Compare(a.proto, b.proto))
	})
}

// load reads the map back unless what it holds is known.
func (p *published) load(s *slots) error {
	if p.known {
		return nil
	}
	have := make(map[face][]run)
	err := p.table.Each(func(k maps.PublishedKey, v maps.PublishedPort) bool {
		f, port := face{k.Addr.Addr(), k.Proto}, uint32(k.Addr.Port())
		have[f] = append(have[f], run{port, port + 1, v.Target, s.digest(v.Slot, v.Generation), v.Slot})
		return true
	})
	if err != nil {
		return err
	}
	for f, single := range have {
		slices.SortFunc(single, byPort)
		runs := single[:0]
		for _, r := range single {
			runs = appendRun(runs, r)
		}
		have[f] = slices.Clone(runs)
	}
	p.have, p.known = have, true
	return nil
}

// publishedPlan is what the map should hold.
type publishedPlan struct {
	last  digested
	want  map[face][]run // as asked for, without slots
	next  map[face][]run
	write map[face][]run // those of next that the map does not hold yet
	ports portBits       // that are published somewhere
}

// planPublished notes a run of published ports that is wanted.
func (d *Dataplane) planPublished(p *plan, port control.DataplanePort) error {
	if !plain(port.HostIP) || !plain(port.Target.Addr()) {
		return fmt.Errorf("it cannot lead to %s", port.Target)
	}
	first, n := uint32(port.HostPort), uint32(port.More)+1
	if first+n > portsOfProtocol || uint32(port.Target.Port())+n > portsOfProtocol {
		return fmt.Errorf("there are no %d ports from there on", n)
	}
	f := face{port.HostIP, port.Proto}
	p.published.want[f] = append(p.published.want[f], run{
		first: first, end: first + n, target: port.Target, digest: p.published.digest(port, p.endpoints),
	})
	p.published.ports.add(maps.PortIndex(port.Proto, port.HostPort), n)
	return nil
}

// planRuns gives slots to what is wanted. Ports that are still the same ones keep theirs.
func (d *Dataplane) planRuns(p *plan) error {
	for _, f := range facesInOrder(p.published.want) {
		want := p.published.want[f]
		if !slices.IsSortedFunc(want, byPort) {
			slices.SortFunc(want, byPort)
		}
		q := facePlan{d: d, slots: &p.slots, have: d.published.have[f]}
		before := uint32(0)
		for _, w := range want {
			if w.first < before {
				return fmt.Errorf("port %d on %s: it is published twice", w.first, f.addr)
			}
			before = w.end
			if err := q.run(w); err != nil {
				return err
			}
		}
		p.published.next[f], p.published.write[f] = q.next, q.write
	}
	return nil
}

// facePlan works out what is to be on one face, in the order of ports.
type facePlan struct {
	d           *Dataplane
	slots       *slotPlan
	have        []run // what the map holds, from the present port on
	next, write []run
}

// run goes through what the map holds of a run's ports.
func (q *facePlan) run(w run) error {
	if len(q.have) > 0 && q.have[0].end <= w.first {
		q.have = q.have[sort.Search(len(q.have), func(i int) bool { return q.have[i].end > w.first }):]
	}
	for at := w.first; at < w.end; {
		if len(q.have) == 0 || q.have[0].first >= w.end {
			return q.fresh(w.part(at, w.end))
		}
		if h := q.have[0]; h.first > at {
			if err := q.fresh(w.part(at, h.first)); err != nil {
				return err
			}
			at = h.first
		}
		end := min(q.have[0].end, w.end)
		held, wanted := q.have[0].part(at, end), w.part(at, end)
		if held.digest != w.digest || held.target != wanted.target || q.slots.all.overlaps(held.slot, end-at) {
			if err := q.fresh(wanted); err != nil {
				return err
			}
		} else {
			q.slots.all.add(held.slot, end-at)
			q.next = appendRun(q.next, held)
		}
		if at = end; q.have[0].end <= end {
			q.have = q.have[1:]
		}
	}
	return nil
}

// fresh gives new slots to ports in a row.
func (q *facePlan) fresh(w run) error {
	for {
		slot, n, err := q.d.slots.find(q.slots, w.end-w.first)
		if err != nil {
			return err
		}
		q.slots.give(slot, n, w.digest)
		w.slot = slot
		part := w.part(w.first, w.first+n)
		q.next, q.write = appendRun(q.next, part), appendRun(q.write, part)
		if part.end == w.end {
			return nil
		}
		w = w.part(part.end, w.end)
	}
}

// add writes what is new or different. From here on the map counts as unknown, until remove has come to its end.
func (p *published) add(plan *publishedPlan, s *slots) error {
	p.known = false
	var bySpecificity [2][]stretch
	for _, f := range facesInOrder(plan.write) {
		for _, r := range plan.write[f] {
			bySpecificity[f.rank()] = append(bySpecificity[f.rank()], stretch{f, r})
		}
	}
	for _, stretches := range bySpecificity {
		if err := inChunks(stretches, func(chunk []stretch) error { return p.write(chunk, s) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *published) write(chunk []stretch, s *slots) error {
	entries := make([]maps.Entry[maps.PublishedKey, maps.PublishedPort], 0, portsOf(chunk))
	for _, c := range chunk {
		for port := c.run.first; port < c.run.end; port++ {
			one := c.run.part(port, port+1)
			entries = append(entries, maps.Entry[maps.PublishedKey, maps.PublishedPort]{
				Key:   c.face.key(port),
				Value: maps.PublishedPort{Target: one.target, Slot: one.slot, Generation: s.generation(one.slot)},
			})
		}
	}
	return p.table.Update(entries)
}

func (f face) key(port uint32) maps.PublishedKey {
	return maps.PublishedKey{Addr: netip.AddrPortFrom(f.addr, uint16(port)), Proto: f.proto}
}

// remove deletes what the map holds and should not.
func (p *published) remove(plan *publishedPlan) error {
	var bySpecificity [2][]stretch
	for _, f := range facesInOrder(p.have) {
		gone := &bySpecificity[f.rank()]
		keep := plan.want[f]
		for _, h := range p.have[f] {
			for at := h.first; at < h.end; {
				for len(keep) > 0 && keep[0].end <= at {
					keep = keep[1:]
				}
				end := h.end
				if len(keep) > 0 {
					if keep[0].first <= at {
						at = min(keep[0].end, h.end)
						continue
					}
					end = min(end, keep[0].first)
				}
				*gone = append(*gone, stretch{f, h.part(at, end)})
				at = end
			}
		}
	}
	for _, stretches := range slices.Backward(bySpecificity[:]) {
		if err := inChunks(stretches, p.delete); err != nil {
			return err
		}
	}
	p.have, p.known = plan.next, true
	return nil
}

func (p *published) delete(chunk []stretch) error {
	keys := make([]maps.PublishedKey, 0, portsOf(chunk))
	for _, c := range chunk {
		for port := c.run.first; port < c.run.end; port++ {
			keys = append(keys, c.face.key(port))
		}
	}
	return p.table.Delete(keys)
}

// digested is the part of digests that ports have in common which are published together.
type digested struct {
	incarnation string
	target      netip.Addr
	sum         uint64
}

// digest stands for an incarnation of published ports, and for where they lead. Their flows lead to an endpoint's interface and
// MAC address: another endpoint at the same address ends them.
func (p *publishedPlan) digest(port control.DataplanePort, endpoints map[netip.Addr]maps.Endpoint) uint64 {
	if to := port.Target.Addr(); p.last.incarnation != port.Incarnation || p.last.target != to {
		b := make([]byte, 0, 128)
		b = append(append(b, port.Incarnation...), 0)
		b = append(to.AppendTo(b), 0)
		b = binary.LittleEndian.AppendUint32(b, endpoints[to].Slot)
		b = binary.LittleEndian.AppendUint32(b, endpoints[to].Generation)
		p.last = digested{port.Incarnation, to, digest(b)}
	}
	return p.last.sum ^ uint64(uint32(port.Target.Port())-uint32(port.HostPort))<<1 | 1
}
