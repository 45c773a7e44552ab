// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N07: nothing that lives is changed or ended, whatever others do (RFC 4787 REQ-11, RFC 6888 REQ-11).
func loadCases() []Case {
	return []Case{
		{ID: "N07", Name: "thousands of new sessions of a neighbour", Lab: LabConfig{Own: "load"}, Run: func(t *T) { underLoad(t, newSessions) }},
		{ID: "N07", Name: "a flood of SYNs from outside", Lab: LabConfig{Own: "load"}, Run: func(t *T) { underLoad(t, floodFromOutside) }},
		{ID: "N07", Name: "no external port left", NAT: true, Lab: smallPool, Run: func(t *T) {
			underLoad(t, func(t *T) {
				for _, kind := range t.exhaustible() {
					t.exhaust(kind)
				}
			})
		}},
	}
}

// underLoad holds sessions of all kinds, in both directions, while something happens.
func underLoad(t *T, load func(*T)) {
	var held []*Session
	for _, kind := range []string{udp, tcp, ping} {
		for range 5 {
			s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
			t.Works(s, "before")
			held = append(held, s)
		}
	}
	load(t)
	for _, s := range held {
		t.Works(s, "afterwards")
	}
}

func newSessions(t *T) {
	const many = 3000
	x2 := t.In("x2")
	for _, peer := range []netip.Addr{t.Peer(), t.Peer(), t.Peer(), t.Peer()} {
		for port := uint16(1025); port < 1025+many; port++ {
			x2.Emit(
				message(udp, x2.At(port), netip.AddrPortFrom(peer, 53), []byte("load")),
				wire.Header{}.TCP(x2.At(port), netip.AddrPortFrom(peer, 80), wire.Segment{Flags: wire.SYN, Seq: 1}),
			)
		}
	}
}

func floodFromOutside(t *T) {
	const many = 3000
	published, host := t.publishedAt(tcp), t.HostAddr()
	for _, peer := range []netip.Addr{t.Peer(), t.Peer(), t.Peer(), t.Peer()} {
		for port := uint16(1025); port < 1025+many; port++ {
			t.Out().Emit(
				wire.Header{}.TCP(netip.AddrPortFrom(peer, port), published, wire.Segment{Flags: wire.SYN, Seq: 1}),
				message(udp, netip.AddrPortFrom(peer, 53), netip.AddrPortFrom(host, port), []byte("load")),
			)
		}
	}
}
