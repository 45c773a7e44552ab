// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
)

// N06: containers meet by the host's address (RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7, RFC 7857 section 12).
func hairpinCases() []Case {
	var all []Case
	for _, from := range []string{"x2", "y1"} {
		where := map[string]string{"x2": "the same network", "y1": "another network"}[from]
		all = append(all,
			Case{ID: "N06", Name: "udp to a published port from " + where, NAT: true, Run: func(t *T) { hairpinUDP(t, from) }},
			Case{ID: "N06", Name: "tcp to a published port from " + where, NAT: true, Run: func(t *T) { hairpinTCP(t, from) }},
			Case{ID: "N06", Name: "an ICMP error about it, to " + where, NAT: true, Run: func(t *T) { hairpinError(t, from) }},
			Case{ID: "N06", Name: "udp between two mappings, to " + where, NAT: true, Run: func(t *T) { hairpinMapped(t, from) }},
		)
	}
	return append(all, Case{ID: "N06", Name: "ping of the host's address", NAT: true, Run: hairpinPing})
}

func hairpinUDP(t *T, from string) {
	x1, other, at := t.In("x1"), t.In(from), t.publishedAt(udp)
	src := other.At(t.Port())
	for _, when := range []string{"first", "later"} {
		payload := t.Tag("to the neighbour")
		other.Emit(message(udp, src, at, payload))
		p := x1.Expect("the "+when+" datagram", carrying(payload))
		if p.Dst != x1.At(portX1) {
			t.Errorf("the %s datagram arrives for %s, want %s", when, p.Dst, x1.At(portX1))
		}
		payload = t.Tag("answer")
		x1.Emit(message(udp, p.Dst, p.Src, payload))
		t.from(at, other.Expect("the answer", carrying(payload)), src)
	}
}

// from wants a packet to come from the address that was asked.
func (t *T) from(at netip.AddrPort, p *wire.Packet, to netip.AddrPort) {
	if p.Src != at || p.Dst != to {
		t.Errorf("the answer is %v, want it from %s to %s", p, at, to)
	}
}

func hairpinTCP(t *T, from string) {
	x1, other, at := t.In("x1"), t.In(from), t.publishedAt(tcp)
	src, seq, peerSeq := other.At(t.Port()), t.Seq(), t.Seq()
	other.Emit(wire.Header{}.TCP(src, at, wire.Segment{Flags: wire.SYN, Seq: seq}))
	syn := x1.Expect("SYN", numbered(seq, x1.At(portX1)))
	x1.Emit(wire.Header{}.TCP(syn.Dst, syn.Src, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: peerSeq, Ack: seq + 1}))
	other.Expect("SYN and ACK", segment(wire.SYN|wire.ACK, at, src))
	payload := t.Tag("data")
	other.Emit(wire.Header{}.TCP(src, at, wire.Segment{Flags: wire.PSH | wire.ACK, Seq: seq + 1, Ack: peerSeq + 1, Payload: payload}))
	x1.Expect("data", carrying(payload))
	answer := t.Tag("answer")
	x1.Emit(wire.Header{}.TCP(syn.Dst, syn.Src, wire.Segment{
		Flags: wire.PSH | wire.ACK, Seq: peerSeq + 1, Ack: seq + 1 + uint32(len(payload)), Payload: answer,
	}))
	t.from(at, other.Expect("the answer", carrying(answer)), src)
}

// hairpinError: the published port is closed.
func hairpinError(t *T, from string) {
	x1, other, at := t.In("x1"), t.In(from), t.publishedAt(udp)
	src, payload := other.At(t.Port()), t.Tag("to a closed port")
	sent := message(udp, src, at, payload)
	other.Emit(sent)
	got := x1.Expect("the datagram", carrying(payload))
	m := wire.Message{Type: 3, Code: 3, Payload: got.Bytes}
	if !t.V4() {
		m.Type, m.Code = 1, 4
	}
	x1.Emit(wire.Header{}.ICMP(x1.Addr, got.Src.Addr(), m))
	hops := sent[map[bool]int{true: 8, false: 7}[t.V4()]] - got.TTL
	t.expectError(other, at.Addr(), src.Addr(), m, routed(sent, hops))
}

// hairpinMapped: both have told each other, by way of a third, where they are seen from outside; then each sends to the
// other one's external endpoint. At the latest the second one's packets arrive, and show the external endpoint.
func hairpinMapped(t *T, from string) {
	broker := netip.AddrPortFrom(t.Peer(), 3478)
	a := t.Open(udp, t.In("x1"), t.Port(), broker)
	b := t.Open(udp, t.In(from), t.Port(), broker)
	for i, way := range [][2]*Session{{a, b}, {b, a}, {a, b}, {b, a}} {
		from, to := way[0], way[1]
		payload := t.Tag("knock")
		from.Side.Emit(message(udp, from.In, to.Ext, payload))
		if i == 0 {
			continue // that one only opens the door
		}
		p := to.Side.Expect(fmt.Sprintf("datagram %d, to the external endpoint %s,", i+1, to.Ext), carrying(payload))
		if p.Src != from.Ext || p.Dst != to.In {
			t.Errorf("datagram %d arrives as %v, want it from %s to %s", i+1, p, from.Ext, to.In)
		}
	}
	t.Works(a, "with the broker, afterwards")
	t.Works(b, "with the broker, afterwards")
}

func hairpinPing(t *T) {
	for _, c := range []string{"c1", "d1"} {
		_, err := netlab.Ping(t.Context(), t.Target.Container(c), t.HostAddr(), netlab.PingOptions{ID: t.Port(), Timeout: t.patience})
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}
