// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N01: one internal endpoint, one external endpoint (RFC 4787 REQ-1, RFC 5508 REQ-1). TCP may have more (RFC 7857
// section 3), so it is asked where that is chosen: see optionCases.
func mappingCases() []Case {
	var all []Case
	for _, kind := range []string{udp, ping} {
		all = append(all,
			Case{ID: "N01", Name: kind + " to several destinations", Run: func(t *T) { severalDestinations(t, kind) }},
			Case{ID: "N01", Name: kind + " whose port had to be changed", NAT: true, Run: func(t *T) { changedPort(t, kind) }},
			Case{ID: "N01", Name: kind + " from a port outside of the pool", NAT: true, Run: func(t *T) { outsideOfPool(t, kind) }},
		)
	}
	return append(all, Case{ID: "N01", Name: "udp to several ports of one peer", Run: severalPorts})
}

// sameEndpoint wants all sessions to have one external endpoint, and answers to reach the container by it.
func (t *T) sameEndpoint(sessions []*Session) {
	for _, s := range sessions[1:] {
		if s.Ext != sessions[0].Ext {
			t.Errorf("%s of %s is %s to %s, but %s to %s", s.Kind, s.In, sessions[0].Ext, sessions[0].Peer, s.Ext, s.Peer)
		}
	}
	for _, s := range sessions {
		t.Works(s, "afterwards")
	}
}

// openSeveral opens sessions from one internal endpoint to several peers.
func (t *T) openSeveral(kind string, side *Side, port uint16, peers []netip.AddrPort) []*Session {
	var all []*Session
	for _, peer := range peers {
		all = append(all, t.Open(kind, side, port, peer))
	}
	return all
}

func (t *T) peers(kind string, n int) []netip.AddrPort {
	var all []netip.AddrPort
	for range n {
		all = append(all, netip.AddrPortFrom(t.Peer(), peerPort(kind, 53)))
	}
	return all
}

func severalDestinations(t *T, kind string) {
	t.sameEndpoint(t.openSeveral(kind, t.In("x1"), t.Port(), t.peers(kind, 4)))
}

func severalPorts(t *T) {
	peer := t.Peer()
	var peers []netip.AddrPort
	for _, port := range []uint16{53, 123, 443, 60001} {
		peers = append(peers, netip.AddrPortFrom(peer, port))
	}
	t.sameEndpoint(t.openSeveral(udp, t.In("x1"), t.Port(), peers))
}

// changedPort has two containers use one port: the second one's cannot be kept to the peer that both talk to, and must not
// be kept to another one.
func changedPort(t *T, kind string) {
	port, peers := t.Port(), t.peers(kind, 4)
	first := t.openSeveral(kind, t.In("x1"), port, peers[:2])
	second := t.openSeveral(kind, t.In("x2"), port, peers)
	for _, s := range second {
		if s.Ext == first[0].Ext {
			t.Errorf("%s of %s and of %s are both %s, to %s", kind, first[0].In, s.In, s.Ext, s.Peer)
		}
	}
	t.sameEndpoint(first)
	t.sameEndpoint(second)
}

// outsideOfPool asks for a port that a NAT would rather not keep: in the range that hosts pick from.
func outsideOfPool(t *T, kind string) {
	port := 40000 + t.Port()%10000
	sessions := t.openSeveral(kind, t.In("x2"), port, t.peers(kind, 3))
	t.sameEndpoint(sessions)
	// The host's own sockets must not be in the way, whatever was chosen.
	if kind == udp {
		t.Never("the container's own address", func(p *wire.Packet) bool { return p.Src.Addr() == t.In("x2").Addr })
	}
}

// Never is Side.Never for what arrives at R.
func (t *T) Never(what string, match func(*wire.Packet) bool) { t.Out().Never(what, match) }
