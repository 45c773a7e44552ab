// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"fmt"
	stdmaps "maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// published keeps the map of published ports. What it holds is remembered as runs, since there may be very many ports that
// differ in nothing but their number.
type published struct {
	table *maps.Published
	have  map[face][]run // in the order of ports
	known bool
	// asked is what have was made of, if current: the last Sync came to its end.
	asked   [][]control.DataplanePort
	current bool
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
	p.have, p.known, p.current = have, true, false
	return nil
}

// add writes what is new or different. From here on the map counts as unknown, until remove has come to its end.
func (p *published) add(plan *publishedPlan, s *slots) error {
	p.known = false
	var bySpecificity [2][]stretch
	for _, f := range facesInOrder(plan.faces) {
		for _, r := range plan.faces[f].write {
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
	for _, f := range facesInOrder(plan.faces) {
		for r := range without(plan.faces[f].have, plan.faces[f].next) {
			bySpecificity[f.rank()] = append(bySpecificity[f.rank()], stretch{f, r})
		}
	}
	for _, stretches := range slices.Backward(bySpecificity[:]) {
		if err := inChunks(stretches, p.delete); err != nil {
			return err
		}
	}
	for f, q := range plan.faces {
		if p.have[f] = q.done(); len(p.have[f]) == 0 {
			delete(p.have, f)
		}
	}
	p.known = true
	return nil
}

// datagrams says whether a port of UDP is published.
func (p *published) datagrams() bool {
	for f := range p.have {
		if f.proto == unix.IPPROTO_UDP {
			return true
		}
	}
	return false
}

// useDatagrams comes before the first port of UDP is published, or after the last one has gone.
func (d *Dataplane) useDatagrams(on bool) error {
	if err := d.loader.Datagrams(on); err != nil {
		return fmt.Errorf("datagrams of the host's to published ports: %w", err)
	}
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
