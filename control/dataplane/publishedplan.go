// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// publishedPlan is what the map should hold.
type publishedPlan struct {
	faces map[face]*facePlan // those on which anything changes
	ports portBits           // that are published somewhere
	last  [2]digested
}

// facePlan is what is to be on one face, from the first port to the last that changes: what lies before and behind stays.
type facePlan struct {
	held        []run // what the map holds
	from, to    int   // where have is in it
	have, want  []run // what is to go, and without slots what is to come in its place
	next, write []run // the same with slots; and those of them that the map does not hold yet
}

// mostMoved is how many addresses may have become another endpoint's before looking for the ports that lead there costs more than
// going through all.
const mostMoved = 16

// planPublished gives slots to the published ports that are wanted. Ports that are still the same ones keep theirs, and what was
// asked for the last time as well is not worked out again: it may be a hundred times as many.
func (d *Dataplane) planPublished(p *plan, asked [][]control.DataplanePort) error {
	all, have := &p.published, d.published.have
	var fresh []control.DataplanePort
	var gone map[face][]run
	if moved := d.movedEndpoints(p); d.published.current && len(moved) <= mostMoved {
		var before []control.DataplanePort
		before, fresh = differing(d.published.asked, asked, moved)
		gone = spans(before)
	} else {
		gone, fresh = whole(have), slices.Concat(asked...)
	}
	want := make(map[face][]run)
	for _, port := range fresh {
		if err := all.run(want, port, p.endpoints); err != nil {
			return fmt.Errorf("published port %s:%d: %w", port.HostIP, port.HostPort, err)
		}
	}
	all.replace(have, gone, want)
	for _, f := range facesInOrder(all.faces) {
		if err := all.faces[f].plan(d, &p.slots); err != nil {
			return fmt.Errorf("published on %s: %w", f.addr, err)
		}
	}
	for f, runs := range have {
		if all.faces[f] == nil {
			all.count(f, runs, p.slots.all)
		}
	}
	for f, q := range all.faces {
		for _, runs := range [...][]run{q.held[:q.from], q.next, q.held[q.to:]} {
			all.count(f, runs, p.slots.all)
		}
	}
	return nil
}

// movedEndpoints are the addresses that came, went, or belong to another endpoint than at the last Sync.
func (d *Dataplane) movedEndpoints(p *plan) []netip.Addr {
	var moved []netip.Addr
	for a, e := range p.endpoints {
		if before := d.endpoints.have[a]; before.Slot != e.Slot || before.Generation != e.Generation {
			moved = append(moved, a)
		}
	}
	for a := range d.endpoints.have {
		if _, still := p.endpoints[a]; !still {
			moved = append(moved, a)
		}
	}
	return moved
}

// differing leaves out what begins and ends alike, unless it leads to where there is another endpoint now: first whole lists, and then ports.
func differing(before, now [][]control.DataplanePort, moved []netip.Addr) (gone, fresh []control.DataplanePort) {
	stays := func(p control.DataplanePort) bool { return !slices.Contains(moved, p.Target.Addr()) }
	lists, others := unlike(before, now, func(a, b []control.DataplanePort) bool {
		same := len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
		return same && (len(moved) == 0 || !slices.ContainsFunc(a, func(p control.DataplanePort) bool { return !stays(p) }))
	})
	return unlike(slices.Concat(lists...), slices.Concat(others...), func(a, b control.DataplanePort) bool { return a == b && stays(a) })
}

// unlike leaves out what two lists begin and end with alike.
func unlike[E any](a, b []E, alike func(a, b E) bool) (restOfA, restOfB []E) {
	for len(a) > 0 && len(b) > 0 && alike(a[0], b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && alike(a[len(a)-1], b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// spans are the ports of a list by face, without where they lead.
func spans(ports []control.DataplanePort) map[face][]run {
	by := make(map[face][]run)
	for _, port := range ports {
		f, first := face{port.HostIP, port.Proto}, uint32(port.HostPort)
		by[f] = append(by[f], run{first: first, end: first + uint32(port.More) + 1})
	}
	return by
}

// whole is every port of each face that has any.
func whole(have map[face][]run) map[face][]run {
	by := make(map[face][]run, len(have))
	for f := range have {
		by[f] = []run{{end: portsOfProtocol}}
	}
	return by
}

// run notes a run of published ports that is wanted.
func (all *publishedPlan) run(want map[face][]run, port control.DataplanePort, endpoints map[netip.Addr]maps.Endpoint) error {
	if !plain(port.HostIP) || !plain(port.Target.Addr()) {
		return fmt.Errorf("it cannot lead to %s", port.Target)
	}
	first, n := uint32(port.HostPort), uint32(port.More)+1
	if first+n > portsOfProtocol || uint32(port.Target.Port())+n > portsOfProtocol {
		return fmt.Errorf("there are no %d ports from there on", n)
	}
	f := face{port.HostIP, port.Proto}
	want[f] = append(want[f], run{first: first, end: first + n, target: port.Target, digest: all.digest(port, endpoints)})
	return nil
}

// replace plans for the faces on which something goes or comes, and no further than from the first such port to the last.
func (all *publishedPlan) replace(have, gone, fresh map[face][]run) {
	all.faces = make(map[face]*facePlan)
	for _, changes := range []map[face][]run{gone, fresh} {
		for f := range changes {
			if all.faces[f] != nil {
				continue
			}
			first, end := uint32(portsOfProtocol), uint32(0)
			for _, r := range slices.Concat(gone[f], fresh[f]) {
				first, end = min(first, r.first), max(end, r.end)
			}
			held := have[f]
			i := sort.Search(len(held), func(i int) bool { return held[i].end > first })
			j := i + sort.Search(len(held)-i, func(j int) bool { return held[i+j].first >= end })
			all.faces[f] = &facePlan{
				held: held, from: i, to: j, have: held[i:j],
				want: append(slices.Collect(without(held[i:j], sorted(gone[f]))), fresh[f]...),
			}
		}
	}
}

func sorted(runs []run) []run {
	if !slices.IsSortedFunc(runs, byPort) {
		slices.SortFunc(runs, byPort)
	}
	return runs
}

// plan gives slots to what is wanted.
func (q *facePlan) plan(d *Dataplane, s *slotPlan) error {
	before := uint32(0)
	g := giver{d: d, slots: s, have: q.have}
	for _, w := range sorted(q.want) {
		if w.first < before {
			return fmt.Errorf("port %d: it is published twice", w.first)
		}
		before = w.end
		if err := g.run(w); err != nil {
			return err
		}
	}
	q.next, q.write = g.next, g.write
	return nil
}

// datagrams says whether a port of UDP is to be published that is not yet.
func (all *publishedPlan) datagrams() bool {
	for f, q := range all.faces {
		if f.proto == unix.IPPROTO_UDP && len(q.write) > 0 {
			return true
		}
	}
	return false
}

// done is what is on the face now. It is put in the place of what was: that may be a thousand times as long as what has changed.
func (q *facePlan) done() []run {
	from, to := q.from, q.to
	var next []run
	if from > 0 {
		from--
		next = append(next, q.held[from])
	}
	for _, r := range q.next {
		next = appendRun(next, r)
	}
	if to < len(q.held) {
		next = appendRun(next, q.held[to])
		to++
	}
	return slices.Replace(q.held, from, to, next...)
}

// count enters ports, and their slots, as in use.
func (all *publishedPlan) count(f face, runs []run, slots slotSet) {
	from := maps.PortIndex(f.proto, 0)
	for _, r := range runs {
		all.ports.add(from+r.first, r.end-r.first)
		slots.add(r.slot, r.end-r.first)
	}
}

// digested is the part of digests that ports have in common which are published together.
type digested struct {
	incarnation string
	target      netip.Addr
	sum         uint64
}

// digest stands for an incarnation of published ports, and for where they lead. Their flows lead to an endpoint's interface and
// MAC address: another endpoint at the same address ends them.
func (all *publishedPlan) digest(port control.DataplanePort, endpoints map[netip.Addr]maps.Endpoint) uint64 {
	to := port.Target.Addr()
	// A port's two families take turns.
	last := &all.last[0]
	if to.Is4() {
		last = &all.last[1]
	}
	if last.incarnation != port.Incarnation || last.target != to {
		b := make([]byte, 0, 128)
		b = append(append(b, port.Incarnation...), 0)
		b = append(to.AppendTo(b), 0)
		b = binary.LittleEndian.AppendUint32(b, endpoints[to].Slot)
		b = binary.LittleEndian.AppendUint32(b, endpoints[to].Generation)
		*last = digested{port.Incarnation, to, digest(b)}
	}
	return last.sum ^ uint64(uint32(port.Target.Port())-uint32(port.HostPort))<<1 | 1
}
