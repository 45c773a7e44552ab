// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// bind gives an internal endpoint of c1's its external port, as the programs do.
func (f *fixture) bind(port, external uint16) maps.BindingKey {
	f.t.Helper()
	return f.bindProto(udp, port, external)
}

func (f *fixture) bindProto(proto uint8, port, external uint16) maps.BindingKey {
	f.t.Helper()
	veth := load(f.t, f.maps().Veths)[11]
	inside := netip.AddrPortFrom(addr("172.30.1.2"), port)
	outside := netip.AddrPortFrom(addr("192.0.2.2"), external)
	key := maps.BindingKey{Addr: inside, External: outside.Addr(), Proto: proto, Inside: true}
	b := maps.Binding{
		Addr: outside, Network: 1, Slot: veth.Slot, Generation: veth.Generation, Seen: uint32(f.clock / time.Second),
	}
	back := b
	back.Addr = inside
	err := f.maps().Bindings.Update([]maps.Entry[maps.BindingKey, maps.Binding]{
		{Key: key, Value: b}, {Key: maps.BindingKey{Addr: outside, Proto: proto}, Value: back},
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
	// From that moment on it rests.
	f.rests("whose last flow is gone", 2)
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

// rests counts the entries of bindings that rest.
func (f *fixture) rests(what string, want int) {
	f.t.Helper()
	n := 0
	for _, b := range load(f.t, f.maps().Bindings) {
		if b.Rests != 0 {
			n++
		}
	}
	if n != want {
		f.t.Errorf("a binding %s: %d entries rest, want %d", what, n, want)
	}
}

// Should a binding be put to rest while a flow is being made by it, the next collection wakes it.
func TestBindingWakes(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	f.bind(40000, 20000)
	f.clock += 10 * time.Second
	f.collect()
	f.rests("without a flow", 2)
	f.masquerade(udp, 40000, 20000, half{0, 5, 0}, half{0, 5, 0})
	f.collect()
	f.rests("with a flow", 0)
}

// The bound port of TCP rests unless the last of its sessions was seen being closed.
func TestBoundTCPPortsRest(t *testing.T) {
	f := newFixture(t)
	s := oneNetwork()
	s.BindTCP = true
	f.sync(s)
	for _, tc := range []struct {
		what  string
		flags [2]uint8
		left  int
	}{
		{"closed", [2]uint8{syn | ack | fin, syn | ack | fin}, 0},
		{"established", [2]uint8{syn | ack, syn | ack}, 2},
		{"one of each", [2]uint8{syn | ack | rst, syn | ack}, 2},
	} {
		f.bindProto(tcp, 40000, 20000)
		for i, flags := range tc.flags {
			f.masqueradeTo(netip.AddrPortFrom(addr("192.0.2.3"), uint16(5000+i)), tcp, 40000, 20000, half{flags, 5, 0}, half{flags, 5, 0})
		}
		if s, err := f.dp.FlowStats(t.Context()); err != nil || len(s.Pools) != 1 || s.Pools[0].Ports != 1 {
			t.Errorf("%s: ports in use %+v, %v, want the one that is bound", tc.what, s.Pools, err)
		}
		f.clock += 7440 * time.Second
		if n := f.collect(); n != 2 {
			t.Errorf("%s: %d sessions went, want 2", tc.what, n)
		}
		if n := f.bindings(); n != tc.left {
			t.Errorf("%s: %d entries are left, want %d", tc.what, n, tc.left)
		}
		if n := len(load(t, f.maps().Flows)); n != 0 {
			t.Errorf("%s: %d entries hold the port, too", tc.what, n)
		}
		f.clock += 120 * time.Second
		f.collect()
		if n := f.bindings(); n != 0 {
			t.Errorf("%s: %d entries are left after the rest", tc.what, n)
		}
	}
}

// TestBindingsOfTheGoneRest like any other: it makes no difference whether the container is there still (N16).
func TestBindingsOfTheGoneRest(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N16", behaviour.None)
	f := newFixture(t)
	f.sync(oneNetwork())
	f.bind(40000, 20000)
	f.masquerade(udp, 40000, 20000, half{0, 5, 0}, half{0, 5, 0})
	s := oneNetwork()
	s.Endpoints[0].Incarnation = "another"
	f.sync(s)
	f.clock += 5 * time.Second
	if n := f.collect(); n != 1 {
		t.Errorf("%d sessions went, want the one whose container is gone", n)
	}
	f.collect()
	f.clock += 119 * time.Second
	f.collect()
	if n := f.bindings(); n != 2 {
		t.Errorf("the port did not rest: %d entries", n)
	}
	f.clock += time.Second
	f.collect()
	if n := f.bindings(); n != 0 {
		t.Errorf("%d entries are left after the rest", n)
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
