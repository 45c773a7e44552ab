// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N12: who opens from both sides at once may be a little faster than the other one. An answer to its SYN would end the
// attempt (RFC 5382 REQ-4). Where to send it, the peer knows from a third whom the container has spoken to before; a port
// that no container has is the host's, and is not asked about.
func unsolicitedCases() []Case {
	return []Case{
		{ID: "N12", Name: "the peer's SYN is there first", NAT: true, Run: earlySYN},
		{ID: "N12", Name: "a SYN to a port that is mapped to somebody else's peer", NAT: true, Run: strangersSYN},
	}
}

// answered matches what the NAT itself may say to a peer: RST and ICMP errors.
func answered(ext, peer netip.AddrPort) func(*wire.Packet) bool {
	return func(p *wire.Packet) bool {
		if p.IsError() {
			return p.Dst.Addr() == peer.Addr()
		}
		return p.Src == ext && p.Dst == peer && p.Flags&wire.RST != 0
	}
}

// earlySYN: the peer's SYN comes first, then the container's own, then the peer repeats its SYN.
func earlySYN(t *T) {
	x1, out := t.In("x1"), t.Out()
	port, peer := t.Port(), netip.AddrPortFrom(t.Peer(), t.Port())
	ext := t.Open(tcp, x1, port, netip.AddrPortFrom(t.Peer(), 3478)).Ext
	syn := wire.Header{}.TCP(peer, ext, wire.Segment{Flags: wire.SYN, Seq: 600})
	out.Emit(syn)
	t.Never("an answer to the early SYN", answered(ext, peer))
	out.Reset()
	seq := t.Seq()
	x1.Emit(wire.Header{}.TCP(x1.At(port), peer, wire.Segment{Flags: wire.SYN, Seq: seq}))
	if got := out.Expect("the container's SYN", numbered(seq, peer)); got.Src != ext {
		t.NotApplicable("its port was not kept, so the peer could not have known it")
	}
	out.Emit(syn)
	x1.Expect("the peer's SYN, repeated", segment(wire.SYN, peer, x1.At(port)))
	t.Never("an answer to the repeated SYN", answered(ext, peer))
}

// strangersSYN: the port is in use, but with another peer.
func strangersSYN(t *T) {
	s := t.Open(tcp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 80))
	stranger := netip.AddrPortFrom(t.Peer(), t.Port())
	t.Out().Emit(wire.Header{}.TCP(stranger, s.Ext, wire.Segment{Flags: wire.SYN, Seq: 1}))
	t.Never("an answer to a stranger's SYN", answered(s.Ext, stranger))
	t.Works(s, "after a stranger's SYN")
}
