// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// begun says who began a session, and what kind it is.
type begun int

const (
	outbound   begun = iota // by c1, masqueraded
	byStack                 // the same, through the host's stack
	inbound                 // by a remote that sent to c1's mapping
	publishing              // by a remote, to a published port
	routing                 // by c1, not translated
	hairpin                 // by c1, to a published port of its own
)

// family is what the two differ in here.
type family struct {
	name                    string
	container, host, remote netip.Addr
	icmp                    uint8
}

func families() []family {
	return []family{
		{behaviour.IPv4, addr("172.30.1.2"), addr("192.0.2.2"), addr("192.0.2.3"), 1},
		{behaviour.IPv6, addr("fd00:1::2"), addr("2001:db8:2::2"), addr("2001:db8:2::3"), 58},
	}
}

func bothFamilies(t *testing.T, id string, test func(t *testing.T, f *fixture, fam family)) {
	behaviour.NeedRoot(t)
	for _, fam := range families() {
		t.Run(fam.name, func(t *testing.T) {
			behaviour.Covers(t, id, fam.name)
			test(t, newFixture(t), fam)
		})
	}
}

// put2 puts a session into the table as the programs make it. It replaces the one that was there.
func (f *fixture) put2(fam family, who begun, proto uint8, first, answer half) {
	f.t.Helper()
	veth := load(f.t, f.maps().Veths)[11]
	inside := netip.AddrPortFrom(fam.container, 40000)
	outside := netip.AddrPortFrom(fam.host, 20000)
	remote := netip.AddrPortFrom(fam.remote, 5000)
	entry := func(h half, kind maps.FlowKind, flags maps.FlowFlags, action uint8, src, dst netip.AddrPort) maps.Flow {
		return maps.Flow{
			Src: src, Dst: dst, Slot: veth.Slot, Generation: veth.Generation, Kind: kind, Flags: flags, Action: action,
			TCPFlags: h.flags, Seen: uint32((f.clock - h.idle) / time.Second), Packets: h.packets,
		}
	}
	const toStack, toPeer, toUplink = 0, 1, maps.FlowToUplink
	key, reply := maps.FlowKey{Src: inside, Dst: remote, Proto: proto}, maps.FlowKey{Src: remote, Dst: outside, Proto: proto}
	var there, back maps.Flow
	switch who {
	case outbound:
		there = entry(first, maps.FlowMasquerade, maps.FlowNATSource, toUplink, outside, remote)
		back = entry(answer, maps.FlowMasquerade, maps.FlowReply, toPeer, remote, inside)
	case byStack:
		there = entry(first, maps.FlowMasquerade, maps.FlowNATSource|maps.FlowByStack, toStack, outside, remote)
		back = entry(answer, maps.FlowMasquerade, maps.FlowNATSource|maps.FlowByStack|maps.FlowReply, toStack, remote, inside)
	case inbound, publishing:
		kind := map[begun]maps.FlowKind{inbound: maps.FlowMasquerade, publishing: maps.FlowPublished}[who]
		key, reply = reply, key
		there = entry(first, kind, 0, toPeer, remote, inside)
		back = entry(answer, kind, maps.FlowReply, toUplink, outside, remote)
	case routing:
		reply = maps.FlowKey{Src: remote, Dst: inside, Proto: proto}
		there = entry(first, maps.FlowRouted, 0, toUplink, inside, remote)
		back = entry(answer, maps.FlowRouted, maps.FlowReply, toPeer, remote, inside)
	case hairpin:
		there = entry(first, maps.FlowHairpin, 0, toPeer, inside, remote)
		reply = maps.FlowKey{Src: remote, Dst: inside, Proto: proto}
		back = entry(answer, maps.FlowHairpin, maps.FlowReply, toPeer, remote, inside)
	}
	f.put(key, there)
	f.put(reply, back)
}

// lives says whether a session is still there a second before d is over, and gone after it.
func (f *fixture) lives(what string, d time.Duration) {
	f.t.Helper()
	f.clock += d - time.Second
	if n := f.collect(); n != 0 {
		f.t.Errorf("%s: gone before %s", what, d)
	}
	f.clock += time.Second
	if n := f.collect(); n != 1 {
		f.t.Errorf("%s: %d sessions went after %s, want 1", what, n, d)
	}
	if left := f.left(); left != 0 {
		f.t.Errorf("%s: %d entries are left", what, left)
	}
}

// The port of a TCP session that was not seen to close rests; that of one that was does not (RFC 6888 REQ-8).
func TestPortRests(t *testing.T) {
	bothFamilies(t, "N16", func(t *testing.T, f *fixture, fam family) {
		f.sync(oneNetwork())
		open, closed := uint8(syn|ack), uint8(syn|ack|fin)
		for what, tc := range map[string]struct {
			flags uint8
			rests int
		}{"not closed": {open, 1}, "closed": {closed, 0}} {
			f.put2(fam, outbound, tcp, half{tc.flags, 9, 8000 * time.Second}, half{tc.flags, 9, 8000 * time.Second})
			if n := f.collect(); n != 1 {
				t.Errorf("%s: %d sessions went, want 1", what, n)
			}
			f.collect()
			f.collect()
			if n := len(load(t, f.maps().Flows)); n != tc.rests {
				t.Errorf("%s: %d entries are left, want %d", what, n, tc.rests)
			}
			// The kernel's clock said when the rest began; vw_gc leaves alone what is only a moment old by it.
			for key, flow := range load(t, f.maps().Flows) {
				flow.Seen -= 5
				f.put(key, flow)
			}
			before := f.clock
			f.clock = monotonic() + control.DefaultTimeouts().PortRest
			f.collect()
			f.collect()
			if n := len(load(t, f.maps().Flows)); n != 0 {
				t.Errorf("%s: %d entries are left after the rest", what, n)
			}
			f.clock = before
		}
	})
}

func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return time.Duration(now.Nano())
}

func TestTimeouts(t *testing.T) {
	bothFamilies(t, "N03", func(t *testing.T, f *fixture, fam family) {
		f.sync(oneNetwork())
		for what, tc := range map[string]struct {
			proto         uint8
			first, answer half
			want          time.Duration
		}{
			"UDP one-way":      {udp, half{packets: 1}, half{}, 120 * time.Second},
			"UDP two-way":      {udp, half{packets: 1}, half{packets: 1}, 300 * time.Second},
			"ping":             {fam.icmp, half{packets: 1}, half{packets: 1}, 60 * time.Second},
			"SYN":              {tcp, half{flags: syn, packets: 1}, half{}, 240 * time.Second},
			"handshake":        {tcp, half{flags: syn, packets: 1}, half{flags: syn | ack, packets: 1}, 240 * time.Second},
			"established":      {tcp, half{flags: syn | ack, packets: 2}, half{flags: syn | ack, packets: 1}, 7440 * time.Second},
			"simultaneous SYN": {tcp, half{flags: syn, packets: 1}, half{flags: syn, packets: 1}, 240 * time.Second},
		} {
			f.put2(fam, outbound, tc.proto, tc.first, tc.answer)
			f.lives(what, tc.want)
		}
	})
}

// What a container sends keeps its session; what arrives does so by option only. Where nothing is masqueraded for anybody,
// either side does.
func TestRefresh(t *testing.T) {
	bothFamilies(t, "N04", func(t *testing.T, f *fixture, fam family) {
		for _, refresh := range []bool{false, true} {
			s := oneNetwork()
			s.Timeouts = control.DefaultTimeouts()
			s.Timeouts.InboundRefresh = refresh
			f.sync(s)
			for who, keeps := range map[begun][2]bool{
				outbound: {true, refresh}, byStack: {true, refresh}, inbound: {refresh, true},
				publishing: {true, true}, routing: {true, true}, hairpin: {true, true},
			} {
				for side := range 2 {
					old, now := half{packets: 9, idle: 290 * time.Second}, half{packets: 9}
					f.clock = 1000 * time.Second
					halves := [2]half{old, old}
					halves[side] = now
					f.put2(fam, who, udp, halves[0], halves[1])
					want := 10 * time.Second
					if keeps[side] {
						want = 300 * time.Second
					}
					f.lives(fmt.Sprintf("begun %d, side %d sends, inbound refresh %v", who, side, refresh), want)
				}
			}
		}
	})
}

func TestClosing(t *testing.T) {
	bothFamilies(t, "N17", func(t *testing.T, f *fixture, fam family) {
		f.sync(oneNetwork())
		const open = syn | ack
		for what, tc := range map[string]struct {
			first, answer uint8
			want          time.Duration
		}{
			"RST by the remote":         {open, open | rst, 240 * time.Second},
			"RST by the container":      {open | rst, open, 240 * time.Second},
			"revived":                   {open, open, 7440 * time.Second},
			"FIN by the container":      {open | fin, open, 7440 * time.Second},
			"FIN by the remote":         {open, open | fin, 7440 * time.Second},
			"FIN both ways":             {open | fin, open | fin, 240 * time.Second},
			"begun afresh":              {syn, 0, 240 * time.Second},
			"begun afresh, established": {open, open, 7440 * time.Second},
		} {
			f.put2(fam, outbound, tcp, half{tc.first, 9, 0}, half{tc.answer, 9, 0})
			f.lives(what, tc.want)
		}
	})
}

func TestTimeoutsOfANetwork(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N03", behaviour.None)
	f := newFixture(t)
	s := oneNetwork()
	s.Timeouts = control.DefaultTimeouts()
	s.Timeouts.UDP = 150 * time.Second
	own := s.Timeouts
	own.UDP, own.InboundRefresh, own.PortRest = 400*time.Second, true, time.Second
	f.sync(s)
	fam := families()[0]
	f.put2(fam, outbound, udp, half{packets: 1}, half{})
	f.lives("all networks'", 150*time.Second)
	s.Networks[0].Timeouts = &own
	f.sync(s)
	f.put2(fam, outbound, udp, half{packets: 1, idle: 399 * time.Second}, half{})
	if got := f.flows(); len(got) != 1 || got[0].Timeout != 400*time.Second {
		t.Errorf("listed as %+v", got)
	}
	f.lives("the network's own", 400*time.Second)

	f.bind(40000, 20000)
	f.clock += 5 * time.Second
	f.collect()
	f.clock += time.Second
	f.collect()
	if n := f.bindings(); n != 0 {
		t.Errorf("%d entries are left of a binding that rests for a second", n)
	}
	own.PortRest = 0
	f.sync(s)
	f.bind(40000, 20000)
	f.clock += 5 * time.Second
	f.collect()
	if n := f.bindings(); n != 0 {
		t.Errorf("%d entries are left of a binding that does not rest", n)
	}
}

// TestNothingGoesBeforeTheFirstSync: nobody has said yet how long flows live.
func TestNothingGoesBeforeTheFirstSync(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	fam := families()[0]
	f.put2(fam, outbound, udp, half{packets: 1, idle: 0}, half{})
	f.stop()
	f.start()
	f.clock += time.Hour
	if n := f.collect(); n != 0 {
		t.Errorf("%d sessions went", n)
	}
	f.sync(oneNetwork())
	if n := f.collect(); n != 1 {
		t.Errorf("%d sessions went after the first Sync, want 1", n)
	}
}

// An answered session that a remote began holds the mapping that it came in by.
func TestWhoHoldsABinding(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N05", behaviour.None)
	f := newFixture(t)
	f.sync(oneNetwork())
	fam := families()[0]
	for _, tc := range []struct {
		what    string
		who     begun
		answers uint64
		held    bool
	}{
		{"begun by the container", outbound, 0, true},
		{"begun by a remote", inbound, 0, false},
		{"begun by a remote, and answered", inbound, 1, true},
	} {
		f.bind(40000, 20000)
		f.put2(fam, tc.who, udp, half{packets: 1}, half{packets: tc.answers})
		for range 13 {
			f.clock += 10 * time.Second
			f.put2(fam, tc.who, udp, half{packets: 1}, half{packets: tc.answers})
			f.collect()
		}
		if held := f.bindings() > 0; held != tc.held {
			t.Errorf("%s: held %v, want %v", tc.what, held, tc.held)
		}
		f.clock += 1000 * time.Second
		f.collect()
		f.collect()
		f.clock += 121 * time.Second
		f.collect()
		if n := f.bindings(); n != 0 {
			t.Errorf("%s: %d entries are left", tc.what, n)
		}
	}
}
