// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/maps"
)

// bind gives an internal endpoint of c1's its external port, as the programs do.
func (f *fixture) bind(port, external uint16) maps.BindingKey {
	f.t.Helper()
	veth := load(f.t, f.maps().Veths)[11]
	inside := netip.AddrPortFrom(addr("172.30.1.2"), port)
	outside := netip.AddrPortFrom(addr("192.0.2.2"), external)
	key := maps.BindingKey{Addr: inside, External: outside.Addr(), Proto: udp, Inside: true}
	b := maps.Binding{
		Addr: outside, Network: 1, Slot: veth.Slot, Generation: veth.Generation, Seen: uint32(f.clock / time.Second),
	}
	back := b
	back.Addr = inside
	err := f.maps().Bindings.Update([]maps.Entry[maps.BindingKey, maps.Binding]{
		{Key: key, Value: b}, {Key: maps.BindingKey{Addr: outside, Proto: udp}, Value: back},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

func (f *fixture) bindings() int { return len(load(f.t, f.maps().Bindings)) }

func TestPortsRest(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	f.bind(40000, 20000)
	f.masquerade(udp, 40000, 20000, half{0, 5, 0}, half{0, 5, 0})
	f.clock += 200 * time.Second
	f.collect()
	f.clock += 99 * time.Second
	f.collect()
	if n := f.bindings(); n != 2 {
		t.Fatalf("the binding of a live flow is gone: %d entries", n)
	}
	f.clock += time.Second
	if n := f.collect(); n != 1 {
		t.Fatalf("%d flows went, want 1", n)
	}
	// The scan that deletes the flow still saw it.
	f.collect()
	f.clock += 119 * time.Second
	f.collect()
	if n := f.bindings(); n != 2 {
		t.Fatalf("the port did not rest: %d entries", n)
	}
	f.clock += time.Second
	f.collect()
	if n := f.bindings(); n != 0 {
		t.Errorf("the port rests for ever: %d entries", n)
	}
}

func TestStaleBindingsGoAtOnce(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	f.bind(40000, 20000)
	s := oneNetwork()
	s.Endpoints[0].Incarnation = "another"
	f.sync(s)
	f.bind(40001, 20001)
	f.clock += 5 * time.Second
	f.collect()
	if n := f.bindings(); n != 2 {
		t.Errorf("%d entries are left, want those of the new endpoint", n)
	}
}

// A flow that is made after the scan keeps its binding.
func TestBindingThatIsUsedAgain(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	key := f.bind(40000, 20000)
	seen := uint32(f.clock / time.Second)
	f.clock += time.Second
	f.bind(40000, 20000)
	if gone, err := f.ld.CollectBinding(key, seen); err != nil || gone {
		t.Errorf("used again: gone %v, %v", gone, err)
	}
	if gone, err := f.ld.CollectBinding(key, seen+1); err != nil || !gone {
		t.Errorf("not used again: gone %v, %v", gone, err)
	}
	if n := f.bindings(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}
