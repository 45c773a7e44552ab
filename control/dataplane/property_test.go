// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vethway/vethway/control"
	vmaps "github.com/vethway/vethway/maps"
)

// drawState makes a random desired state out of a small world, so that things come, go and come back as others.
func drawState(t *rapid.T) *control.DataplaneState {
	s := &control.DataplaneState{Locals: []netip.Prefix{prefix("127.0.0.0/8")}}
	pick := func(label string) bool { return rapid.Bool().Draw(t, label) }
	for id := uint32(1); id <= 3; id++ {
		if !pick("network") {
			continue
		}
		s.Networks = append(s.Networks, control.DataplaneNetwork{
			ID: id, BridgeIndex: int(id), BridgeMAC: mac(byte(id)), MTU: 1500, Internal: pick("internal"),
			Subnets:  []netip.Prefix{prefix(fmt.Sprintf("172.30.%d.0/24", id))},
			Gateways: []netip.Addr{addr(fmt.Sprintf("172.30.%d.1", id))},
		})
		s.Locals = append(s.Locals, prefix(fmt.Sprintf("172.30.%d.1/32", id)))
		for host := 2; host < 6; host++ {
			if !pick("endpoint") {
				continue
			}
			s.Endpoints = append(s.Endpoints, control.DataplaneEndpoint{
				Network: id, HostIndex: int(id)*10 + host, MAC: mac(byte(id*10) + byte(host)),
				Addrs:       []netip.Addr{addr(fmt.Sprintf("172.30.%d.%d", id, host)), addr(fmt.Sprintf("fd00:%d::%d", id, host))},
				Incarnation: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "incarnation"),
			})
		}
	}
	taken := make(map[vmaps.PublishedKey]bool)
	for port := uint16(8000); port < 8006; port++ {
		var list []control.DataplanePort
		for _, host := range []string{"0.0.0.0", "::", "192.0.2.2"} {
			if len(s.Endpoints) == 0 || !pick("published") {
				continue
			}
			target := rapid.SampledFrom(s.Endpoints).Draw(t, "target").Addrs[0]
			p := control.DataplanePort{
				HostIP: addr(host), HostPort: port, Proto: rapid.SampledFrom([]uint8{6, 17, 132}).Draw(t, "proto"),
				More: rapid.SampledFrom([]uint16{0, 0, 1, 3}).Draw(t, "more"), Target: netip.AddrPortFrom(target, 80+port%2),
				Incarnation: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "incarnation"),
			}
			p.More = min(p.More, 8005-port)
			free := true
			for _, one := range each(p) {
				free = free && !taken[keyOf(one)]
			}
			if !free {
				continue
			}
			for _, one := range each(p) {
				taken[keyOf(one)] = true
			}
			list = append(list, p)
		}
		s.Published = append(s.Published, list)
	}
	for index := 100; index < 103; index++ {
		if pick("uplink") {
			s.Uplinks = append(s.Uplinks, control.DataplaneUplink{Index: index, Ethernet: true, MTU: 1500})
		}
	}
	for port := uint16(8000); port < 8004; port++ {
		if pick("host port") {
			s.HostPorts = append(s.HostPorts, control.HostPort{Proto: 6, Port: port})
		}
	}
	return s
}

// each spells published ports out, one by one.
func each(p control.DataplanePort) []control.DataplanePort {
	var out []control.DataplanePort
	for i := range p.More + 1 {
		one := p
		one.HostPort, one.More, one.Target = p.HostPort+i, 0, netip.AddrPortFrom(p.Target.Addr(), p.Target.Port()+i)
		out = append(out, one)
	}
	return out
}

func keyOf(p control.DataplanePort) vmaps.PublishedKey {
	return vmaps.PublishedKey{Addr: netip.AddrPortFrom(p.HostIP, p.HostPort), Proto: p.Proto}
}

// world remembers who had which generation of which slot: nobody else may ever have it.
type world struct {
	f           *fixture
	owners      map[[2]uint32]string
	generations map[uint32]uint32
}

func sameKeys[K comparable, A, B any](t *rapid.T, what string, got map[K]A, want map[K]B) {
	t.Helper()
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Fatalf("%s: %v is there and should not be", what, k)
		}
	}
	for k := range want {
		if _, ok := got[k]; !ok {
			t.Fatalf("%s: %v is missing", what, k)
		}
	}
}

// check compares the maps with the desired state.
func (w *world) check(t *rapid.T, s *control.DataplaneState) {
	m := w.f.maps()
	generations := w.readGenerations(t)
	slots := make(map[uint32]string)
	own := func(slot, generation uint32, owner string) {
		if other, taken := slots[slot]; taken {
			t.Fatalf("slot %d belongs to %s and to %s", slot, owner, other)
		}
		slots[slot] = owner
		if generations[slot] != generation {
			t.Fatalf("%s is at generation %d of slot %d, which is at %d", owner, generation, slot, generations[slot])
		}
		at := [2]uint32{slot, generation}
		if other, known := w.owners[at]; known && other != owner {
			t.Fatalf("flows of %s would live on as flows of %s", other, owner)
		}
		w.owners[at] = owner
	}
	veths, endpoints, wantEndpoints := load(w.f.t, m.Veths), load(w.f.t, m.Endpoints), make(map[netip.Addr]bool)
	wantVeths := make(map[uint32]bool)
	who := make(map[netip.Addr]string)
	for _, e := range s.Endpoints {
		v := veths[uint32(e.HostIndex)]
		wantVeths[uint32(e.HostIndex)] = true
		owner := fmt.Sprintf("endpoint %d %s %v", e.HostIndex, e.Incarnation, e.Addrs)
		if v.Addr4 != e.Addrs[0] || v.Addr6 != e.Addrs[1] || v.Network != uint16(e.Network) || v.MAC != vmaps.MAC(e.MAC) {
			t.Fatalf("%s: %+v", owner, v)
		}
		own(v.Slot, v.Generation, owner)
		for _, a := range e.Addrs {
			wantEndpoints[a] = true
			who[a] = owner
			if at := endpoints[a]; at.Index != uint32(e.HostIndex) || at.Slot != v.Slot || at.Generation != v.Generation {
				t.Fatalf("endpoint %s: %+v, want the slot of %+v", a, at, v)
			}
		}
	}
	sameKeys(t, "veths", veths, wantVeths)
	sameKeys(t, "endpoints", endpoints, wantEndpoints)
	w.checkPublished(t, s, who, own)
	w.checkHost(t, s)
	sameKeys(t, "taken slots", load(w.f.t, m.Incarnations), slots)
}

func (w *world) checkPublished(t *rapid.T, s *control.DataplaneState, who map[netip.Addr]string, own func(uint32, uint32, string)) {
	published, want := load(w.f.t, w.f.maps().Published), make(map[vmaps.PublishedKey]bool)
	ports := make(map[uint32]bool)
	var ones []control.DataplanePort
	for _, p := range slices.Concat(s.Published...) {
		ones = append(ones, each(p)...)
	}
	for _, p := range ones {
		k := keyOf(p)
		want[k] = true
		ports[vmaps.PortIndex(p.Proto, p.HostPort)] = true
		v := published[k]
		if v.Target != p.Target {
			t.Fatalf("published %v leads to %v, want %v", k, v.Target, p.Target)
		}
		own(v.Slot, v.Generation, fmt.Sprintf("published %v %s to %v of %s", k, p.Incarnation, p.Target, who[p.Target.Addr()]))
	}
	sameKeys(t, "published", published, want)
	marked := make(map[uint32]bool)
	for _, proto := range []uint8{6, 17, 132} {
		for port := uint16(8000); port < 8006; port++ {
			use, err := w.f.maps().PortUse.Get(vmaps.PortIndex(proto, port))
			if err != nil {
				t.Fatal(err)
			}
			if use&vmaps.PortPublished != 0 {
				marked[vmaps.PortIndex(proto, port)] = true
			}
		}
	}
	sameKeys(t, "ports marked as published", marked, ports)
	for _, p := range s.HostPorts {
		if use, err := w.f.maps().PortUse.Get(vmaps.PortIndex(p.Proto, p.Port)); err != nil || use&vmaps.PortHost == 0 {
			t.Fatalf("port %d is bound, but not marked: %v", p.Port, err)
		}
	}
}

func (w *world) checkHost(t *rapid.T, s *control.DataplaneState) {
	m := w.f.maps()
	networks, uplinks, addresses := make(map[uint32]bool), make(map[uint32]bool), make(map[netip.Prefix]bool)
	for _, n := range s.Networks {
		networks[n.ID] = true
		addresses[n.Subnets[0]] = true
		got, _, err := m.Networks.Lookup(n.ID)
		if err != nil || got.Gateway4 != n.Gateways[0] || got.Flags&vmaps.NetworkInternal != 0 != n.Internal {
			t.Fatalf("network %d: %+v, %v", n.ID, got, err)
		}
	}
	for _, u := range s.Uplinks {
		uplinks[uint32(u.Index)] = true
	}
	for _, p := range s.Locals {
		addresses[p] = true
	}
	sameKeys(t, "networks", load(w.f.t, m.Networks), networks)
	sameKeys(t, "uplinks", load(w.f.t, m.Uplinks), uplinks)
	sameKeys(t, "addresses", load(w.f.t, m.Addresses), addresses)
	w.checkShortcuts(t)
}

// checkShortcuts compares them with the tables that they stand for.
func (w *world) checkShortcuts(t *rapid.T) {
	m := w.f.maps()
	shortcuts, err := m.Shortcuts.Load()
	if err != nil {
		t.Fatal(err)
	}
	endpoints, addresses, networks := load(w.f.t, m.Endpoints), load(w.f.t, m.Addresses), load(w.f.t, m.Networks)
	for index, s := range shortcuts {
		e, isEndpoint := endpoints[s.Addr]
		local, isLocal := addresses[netip.PrefixFrom(s.Addr, s.Addr.BitLen())]
		switch {
		case vmaps.ShortcutIndex(s.Addr) != index:
			t.Fatalf("%s is at %d", s.Addr, index)
		case isEndpoint && s.Index == e.Index && s.Slot == e.Slot && s.Generation == e.Generation && s.Network == e.Network && s.MAC == e.MAC &&
			s.Bridge == networks[uint32(e.Network)].Bridge && s.BridgeMAC == e.BridgeMAC && s.MTU == e.MTU:
		case !isEndpoint && isLocal && uint32(s.Network) == local.Network && s.Index == 0 && s.Bridge == 0:
		default:
			t.Fatalf("shortcut %+v; endpoint %+v, address %+v", s, e, local)
		}
	}
	for a := range endpoints {
		if _, ok := shortcuts[vmaps.ShortcutIndex(a)]; !ok {
			t.Fatalf("the place of %s is empty", a)
		}
	}
}

// readGenerations reads those of the slots that are taken or were known before: reading all takes long.
func (w *world) readGenerations(t *rapid.T) map[uint32]uint32 {
	now := maps.Clone(w.generations)
	for slot := range load(w.f.t, w.f.maps().Incarnations) {
		now[slot] += 0 // and now it has an entry
	}
	for slot, before := range now {
		generation, err := w.f.maps().Generations.Get(slot)
		if err != nil {
			t.Fatal(err)
		}
		if generation < before {
			t.Fatalf("generation of slot %d went from %d back to %d", slot, before, generation)
		}
		now[slot] = generation
	}
	w.generations = maps.Clone(now)
	return now
}

// damage leaves the maps as a crash in the middle of something might: some of what was to be removed is gone, some of
// what was to be added is missing, generations have gone up.
func (w *world) damage(t *rapid.T) {
	m := w.f.maps()
	lose(t, m.Networks)
	lose(t, m.Addresses)
	lose(t, m.Uplinks)
	lose(t, m.Endpoints)
	lose(t, m.Veths)
	lose(t, m.Published)
	bump := make(map[uint32]uint32)
	free := make(map[uint32]uint64)
	for slot := range load(w.f.t, m.Incarnations) {
		if rapid.IntRange(0, 5).Draw(t, "lose") == 0 {
			free[slot] = 0
		}
		if rapid.IntRange(0, 5).Draw(t, "bump") == 0 {
			bump[slot] = w.generations[slot] + 1
		}
	}
	if err := errors.Join(m.Incarnations.Set(free), m.Generations.Set(bump)); err != nil {
		t.Fatal(err)
	}
}

func lose[K comparable, V any](t *rapid.T, table *vmaps.Table[K, V]) {
	all, err := table.Load()
	if err != nil {
		t.Fatal(err)
	}
	var gone []K
	for k := range all {
		if rapid.IntRange(0, 5).Draw(t, "lose") == 0 {
			gone = append(gone, k)
		}
	}
	if err := table.Delete(gone); err != nil {
		t.Fatal(err)
	}
}

func TestSyncReachesAnyStateFromAnyOther(t *testing.T) {
	f := newFixture(t)
	w := &world{f: f, owners: make(map[[2]uint32]string), generations: make(map[uint32]uint32)}
	rapid.Check(t, func(t *rapid.T) {
		lists := make(map[string][]control.DataplanePort)
		for range rapid.IntRange(1, 4).Draw(t, "syncs") {
			switch rapid.IntRange(0, 7).Draw(t, "before") {
			case 0:
				f.stop()
				f.start()
			case 1:
				w.damage(t)
				f.stop()
				f.start()
			}
			s := drawState(t)
			for i, list := range s.Published {
				// What is asked for again is the same slice, as it is when the engine asks, or not.
				if before := lists[fmt.Sprint(list)]; before != nil && rapid.Bool().Draw(t, "same list") {
					s.Published[i] = before
				}
				lists[fmt.Sprint(list)] = s.Published[i]
			}
			f.sync(s)
			w.check(t, s)
			before := w.dump(t)
			f.sync(s)
			if after := w.dump(t); !slices.Equal(before, after) {
				t.Fatalf("a second Sync changed something:\n%q\n%q", before, after)
			}
		}
	})
}

// dump is all that Sync writes, but for marks of host ports, which go with time.
func (w *world) dump(t *rapid.T) []string {
	m := w.f.maps()
	var all []string
	all = append(all, fmt.Sprint(load(w.f.t, m.Networks), load(w.f.t, m.Addresses), load(w.f.t, m.Uplinks)))
	all = append(all, fmt.Sprint(load(w.f.t, m.Endpoints), load(w.f.t, m.Veths), load(w.f.t, m.Published)))
	return append(all, fmt.Sprint(load(w.f.t, m.Incarnations), w.readGenerations(t)))
}
