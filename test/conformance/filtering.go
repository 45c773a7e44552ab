// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N05: who may use a mapping from outside (RFC 4787 REQ-8): by default who was spoken to, address and port.
func filteringCases() []Case {
	return []Case{
		{ID: "N05", Name: "udp from another port or address is not let in", NAT: true, Run: func(t *T) { strangers(t, udp) }},
		{ID: "N05", Name: "tcp from another port or address is not let in", NAT: true, Run: func(t *T) { strangers(t, tcp) }},
		{ID: "N05", Name: "ping replies of somebody else are not let in", NAT: true, Run: strangerPing},
		{ID: "N05", Name: "who was spoken to later is let in", NAT: true, Run: laterFriend},
		{ID: "N05", Name: "ports without a mapping lead nowhere", NAT: true, Run: noMapping},
	}
}

// strangers try a mapping from elsewhere.
func strangers(t *T, kind string) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 4000))
	for _, from := range []netip.AddrPort{
		netip.AddrPortFrom(s.Peer.Addr(), 4001),
		netip.AddrPortFrom(t.Peer(), 4000),
		netip.AddrPortFrom(t.RemoteServer().Addr(), 4000),
	} {
		payload := t.Tag("stranger")
		t.Out().Emit(message(kind, from, s.Ext, payload))
		s.Side.Never("a stranger's "+kind+" from "+from.String(), carrying(payload))
	}
	t.Works(s, "after the strangers")
}

func strangerPing(t *T) {
	s := t.Open(ping, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 0))
	payload := t.Tag("stranger")
	t.Out().Emit(message(ping, netip.AddrPortFrom(t.Peer(), 0), s.Ext, payload))
	s.Side.Never("a stranger's echo reply", carrying(payload))
	t.Works(s, "after the stranger")
}

// laterFriend: a stranger is let in as soon as the container has spoken to it.
func laterFriend(t *T) {
	port := t.Port()
	t.Open(udp, t.In("x1"), port, netip.AddrPortFrom(t.Peer(), 4000))
	second := t.Open(udp, t.In("x1"), port, netip.AddrPortFrom(t.Peer(), 4000))
	t.Works(second, "to the second peer")
}

// noMapping tries ports that nobody has.
func noMapping(t *T) {
	from, payload := netip.AddrPortFrom(t.Peer(), 53), t.Tag("nobody")
	for range 20 {
		t.Out().Emit(message(udp, from, netip.AddrPortFrom(t.HostAddr(), t.Port()), payload))
	}
	for _, name := range deaf() {
		t.In(name).Never("what was sent to an unmapped port", func(p *wire.Packet) bool { return carrying(payload)(p) })
	}
}
