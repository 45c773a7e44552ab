// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// facts is the slot and generation of everything that has one.
func (f *fixture) facts() string {
	f.t.Helper()
	return fmt.Sprint(load(f.t, f.maps().Endpoints), load(f.t, f.maps().Veths), load(f.t, f.maps().Published))
}

func (f *fixture) generation(slot uint32) uint32 {
	f.t.Helper()
	g, err := f.maps().Generations.Get(slot)
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

func TestAdoptionKeepsSlots(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	before := f.facts()
	f.stop()
	f.start()
	f.sync(oneNetwork())
	if after := f.facts(); after != before {
		t.Errorf("after a start:\n%s\n%s", before, after)
	}
}

func TestAnotherIncarnationEndsFlows(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "after a start": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.sync(oneNetwork())
			veths, ports := load(t, f.maps().Veths), load(t, f.maps().Published)
			if restart {
				f.stop()
				f.start()
			}
			s := oneNetwork()
			s.Endpoints[0].Incarnation = "e1 again"
			f.sync(s)
			old, now := veths[11], load(t, f.maps().Veths)[11]
			if f.generation(old.Slot) == old.Generation {
				t.Error("flows of the endpoint live on")
			}
			if f.generation(now.Slot) != now.Generation {
				t.Error("the new endpoint's flows would be stale at once")
			}
			if was := ports[key("0.0.0.0:8080")]; f.generation(was.Slot) == was.Generation {
				t.Error("flows of the port that leads to it live on")
			}
			if is := load(t, f.maps().Published)[key("0.0.0.0:8080")]; f.generation(is.Slot) != is.Generation {
				t.Error("new flows of the port would be stale at once")
			}
			if same := load(t, f.maps().Veths)[12]; same != veths[12] {
				t.Errorf("the other endpoint changed: %+v, was %+v", same, veths[12])
			}
		})
	}
}

func TestUnpublishEndsFlows(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	was := load(t, f.maps().Published)[key("0.0.0.0:8080")]
	s := oneNetwork()
	s.Published[0] = s.Published[0][1:]
	f.sync(s)
	if f.generation(was.Slot) == was.Generation {
		t.Error("flows of the port live on")
	}
	if use, err := f.maps().PortUse.Get(maps.PortIndex(6, 8080)); err != nil || use != maps.PortPublished {
		t.Errorf("8080 is still published on [::]; use %d, %v", use, err)
	}
	s.Published = nil
	f.sync(s)
	if use, err := f.maps().PortUse.Get(maps.PortIndex(6, 8080)); err != nil || use != 0 {
		t.Errorf("8080 is not published any more; use %d, %v", use, err)
	}
}

// TestPartOfARangeEndsItsOwnFlows: ports that were published together are withdrawn by themselves, also after a start.
func TestPartOfARangeEndsItsOwnFlows(t *testing.T) {
	behaviour.Covers(t, "D21", behaviour.Both)
	for name, restart := range map[string]bool{"running": false, "after a start": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := oneNetwork()
			whole := published("0.0.0.0:9000", "172.30.1.2:100")
			whole.More = 9999
			s.Published = [][]control.DataplanePort{{whole}}
			f.sync(s)
			before := load(t, f.maps().Published)
			if len(before) != 10000 {
				t.Fatalf("%d ports", len(before))
			}
			if restart {
				f.stop()
				f.start()
			}
			// All but 9500 to 9599, of which 9550 leads elsewhere.
			low, other, high := whole, published("0.0.0.0:9550", "172.30.1.2:7"), published("0.0.0.0:9600", "172.30.1.2:700")
			low.More, high.More = 499, 9399
			s.Published = [][]control.DataplanePort{{high, low}, {other}}
			f.sync(s)
			after := load(t, f.maps().Published)
			if len(after) != 9901 || after[key("0.0.0.0:9550")].Target != addrPort("172.30.1.2:7") {
				t.Errorf("%d ports, 9550 leads to %s", len(after), after[key("0.0.0.0:9550")].Target)
			}
			for k, was := range before {
				gone := k.Addr.Port() >= 9500 && k.Addr.Port() < 9600
				if live := f.generation(was.Slot) == was.Generation; live == gone {
					t.Fatalf("%v: its flows live on: %v", k.Addr, live)
				}
				if !gone && after[k] != was {
					t.Fatalf("%v: %+v, was %+v", k.Addr, after[k], was)
				}
			}
		})
	}
}

func TestHostPortsAreForgottenSlowly(t *testing.T) {
	f := newFixture(t)
	index := maps.PortIndex(17, 5000)
	use := func() uint32 {
		t.Helper()
		use, err := f.maps().PortUse.Get(index)
		if err != nil {
			t.Fatal(err)
		}
		return use
	}
	s := oneNetwork()
	s.HostPorts = []control.HostPort{{Proto: 17, Port: 5000}}
	f.sync(s)
	if use() != maps.PortHost {
		t.Errorf("a bound port: use %d", use())
	}
	s.HostPorts = nil
	f.sync(s)
	if use() != maps.PortHost {
		t.Errorf("not listed once: use %d", use())
	}
	f.sync(s)
	if use() != maps.PortHost {
		t.Errorf("not listed twice in a moment: use %d", use())
	}
	f.clock += time.Minute
	f.sync(s)
	if use() != 0 {
		t.Errorf("not listed for a minute: use %d", use())
	}

	// A program saw a socket bind, and nobody saw it close.
	if err := f.maps().PortUse.Set(map[uint32]uint32{index: maps.PortHost}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.clock += time.Minute
		f.sync(s)
	}
	if use() != 0 {
		t.Errorf("left behind: use %d", use())
	}

	// Publishing keeps what others wrote.
	if err := f.maps().PortUse.Set(map[uint32]uint32{index: maps.PortHost}); err != nil {
		t.Fatal(err)
	}
	s.Published = append(s.Published, []control.DataplanePort{{HostIP: netip.IPv4Unspecified(), HostPort: 5000, Proto: 17, Target: addrPort("172.30.1.2:53")}})
	s.HostPorts = []control.HostPort{{Proto: 17, Port: 5000}}
	f.sync(s)
	if use() != maps.PortHost|maps.PortPublished {
		t.Errorf("published and bound: use %d", use())
	}
	s.Published = nil
	f.sync(s)
	if use() != maps.PortHost {
		t.Errorf("unpublished and bound: use %d", use())
	}
}

func TestRoutesChange(t *testing.T) {
	f := newFixture(t)
	s := oneNetwork()
	f.sync(s)
	for name, tc := range map[string]struct {
		change func()
		bump   bool
	}{
		"nothing":  {func() {}, false},
		"routing":  {func() { s.Routing++ }, true},
		"local":    {func() { s.Locals = append(s.Locals, prefix("192.0.2.9/32")) }, true},
		"uplink":   {func() { s.Uplinks[0].MTU = 1400 }, true},
		"endpoint": {func() { s.Endpoints = s.Endpoints[1:]; s.Published = nil }, false},
	} {
		before := f.generation(maps.RouteSlot)
		tc.change()
		f.sync(s)
		if bumped := f.generation(maps.RouteSlot) != before; bumped != tc.bump {
			t.Errorf("%s changed: flows look for their routes again: %v, want %v", name, bumped, tc.bump)
		}
	}
}

func TestSyncAfterAnError(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())

	// More networks than there is room for.
	s := oneNetwork()
	for id := uint32(2); id < 5000; id++ {
		s.Networks = append(s.Networks, control.DataplaneNetwork{ID: id, BridgeIndex: int(id) + 100, BridgeMAC: mac(1), MTU: 1500})
	}
	if err := f.dp.Sync(t.Context(), s); !errors.Is(err, maps.ErrFull) || api.AsError(err).Code != api.ResourceExhausted {
		t.Fatalf("too many networks: %v", err)
	}
	s = oneNetwork()
	s.Published[0] = s.Published[0][:1]
	f.sync(s)
	if n := len(load(t, f.maps().Networks)); n != 1 {
		t.Errorf("%d networks are left", n)
	}
	if n := len(load(t, f.maps().Published)); n != 1 {
		t.Errorf("%d published ports are left", n)
	}

	// What cannot be attached does not keep the rest from being removed.
	f.failing = errors.New("no such interface")
	s.Published = nil
	if err := f.dp.Sync(t.Context(), s); !errors.Is(err, f.failing) {
		t.Errorf("attaching failed: %v", err)
	}
	if n := len(load(t, f.maps().Published)); n != 0 {
		t.Errorf("%d published ports are left", n)
	}
}

func TestBadStateChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	before := f.facts()
	for name, spoil := range map[string]func(*control.DataplaneState){
		"unknown network":       func(s *control.DataplaneState) { s.Endpoints[0].Network = 9 },
		"address twice":         func(s *control.DataplaneState) { s.Endpoints[1].Addrs = s.Endpoints[0].Addrs },
		"interface twice":       func(s *control.DataplaneState) { s.Endpoints[1].HostIndex = 11 },
		"port twice":            func(s *control.DataplaneState) { s.Published[0][1] = s.Published[0][0] },
		"network twice":         func(s *control.DataplaneState) { s.Networks = append(s.Networks, s.Networks[0]) },
		"network number":        func(s *control.DataplaneState) { s.Networks[0].ID = 1 << 16 },
		"MAC address":           func(s *control.DataplaneState) { s.Endpoints[0].MAC = nil },
		"bridge's MAC":          func(s *control.DataplaneState) { s.Networks[0].BridgeMAC = mac(1)[:5] },
		"address not valid":     func(s *control.DataplaneState) { s.Endpoints[0].Addrs[0] = netip.Addr{} },
		"target not valid":      func(s *control.DataplaneState) { s.Published[0][0].Target = netip.AddrPort{} },
		"host IP not valid":     func(s *control.DataplaneState) { s.Published[0][0].HostIP = netip.Addr{} },
		"ports beyond the last": func(s *control.DataplaneState) { s.Published[0][0].More = 65535 - 8079 },
		"target's ports": func(s *control.DataplaneState) {
			s.Published[0][0].Target, s.Published[0][0].More = addrPort("172.30.1.2:65535"), 1
		},
		"ports that overlap": func(s *control.DataplaneState) {
			s.Published[0] = append(s.Published[0], published("0.0.0.0:8079", "172.30.1.2:80"))
			s.Published[0][2].More = 5
		},
		"v4-mapped addresses": func(s *control.DataplaneState) { s.Published[0][0].HostIP = addr("::ffff:192.0.2.2") },
	} {
		s := oneNetwork()
		spoil(s)
		if err := f.dp.Sync(t.Context(), s); err == nil {
			t.Errorf("%s: no error", name)
		}
		if after := f.facts(); after != before {
			t.Errorf("%s: maps changed", name)
		}
	}
}

func BenchmarkPublish1000Ports(b *testing.B) {
	f := newFixture(b)
	none, all := oneNetwork(), oneNetwork()
	for port := uint16(10000); port < 11000; port++ {
		all.Published[0] = append(all.Published[0],
			published(fmt.Sprintf("0.0.0.0:%d", port), "172.30.1.2:80"), published(fmt.Sprintf("[::]:%d", port), "[fd00:1::2]:80"))
	}
	f.sync(none)
	b.Run("publish", func(b *testing.B) {
		for b.Loop() {
			f.sync(all)
			b.StopTimer()
			f.sync(none)
			b.StartTimer()
		}
	})
	f.sync(all)
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			f.sync(all)
		}
	})
}

// Sockets of the host are looked at for datagrams while one may be for a published port, from before the first to after the last.
func TestDatagramsWhilePublished(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	s := oneNetwork()
	tcp, udp, other := s.Published[0], published("0.0.0.0:53", "172.30.1.2:53"), published("[::]:53", "[fd30:1::2]:53")
	udp.Proto, other.Proto = unix.IPPROTO_UDP, unix.IPPROTO_UDP
	for i, step := range []struct {
		ports []control.DataplanePort
		on    bool
	}{{tcp, false}, {slices.Concat(tcp, one(udp), one(other)), true}, {slices.Concat(tcp, one(other)), true}, {one(other), true}, {nil, false}, {one(udp), true}, {tcp, false}} {
		s := oneNetwork()
		s.Published = [][]control.DataplanePort{step.ports}
		f.sync(s)
		if f.datagrams != step.on {
			t.Errorf("step %d: looked at: %v", i, f.datagrams)
		}
		if i == 2 {
			f.stop()
			f.start()
		}
	}
	if want := []int{0, 0, 0, 0}; !slices.Equal(f.published, want) {
		t.Errorf("ports of UDP there were at each change: %v, want %v", f.published, want)
	}
}

func one(p control.DataplanePort) []control.DataplanePort { return []control.DataplanePort{p} }
