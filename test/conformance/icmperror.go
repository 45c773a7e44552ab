// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N13: ICMP errors cross the NAT in both directions (RFC 5508 REQ-3 to REQ-5). What an error quotes must be what the
// receiver sent, byte for byte, so that it finds its socket.
func icmpErrorCases() []Case {
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		for _, q := range quotes() {
			all = append(all, Case{
				ID: "N13", Name: fmt.Sprintf("about %s from outside, quoting %s", kind, q.name),
				Run: func(t *T) { errorsIn(t, kind, q) },
			})
		}
	}
	for _, kind := range []string{udp, tcp} {
		for _, q := range quotes()[:2] {
			all = append(all, Case{
				ID: "N13", Name: fmt.Sprintf("of a container about %s to its published port, quoting %s", kind, q.name),
				Run: func(t *T) { errorsOut(t, kind, q) },
			})
		}
		all = append(all, Case{
			ID: "N13", Name: "of a container about an answer over " + kind, Run: func(t *T) { errorAboutAnswer(t, kind) },
		})
	}
	return append(all,
		Case{ID: "N13", Name: "with a wrong checksum is not made right", Run: wrongChecksum},
		Case{ID: "N13", Name: "about nothing that was sent reaches nobody", NAT: true, Run: errorAboutNothing},
		Case{ID: "N13", Name: "of the host about TTL 1 to a published port", Run: lastHopIn},
	)
}

// quote is how much of a packet an error quotes, and of what packet.
type quote struct {
	name   string
	header wire.Header
	length func(p *wire.Packet) int
	// extend makes the error's payload and second word of the quoted bytes.
	extend func(v4 bool, rest uint32, quoted []byte) (uint32, []byte)
}

func whole(p *wire.Packet) int { return len(p.Bytes) }
func stub(p *wire.Packet) int  { return len(p.Bytes) - len(p.L4) + 8 }

func quotes() []quote {
	options := wire.Header{
		Options:    []byte{0x94, 4, 0, 0, 1, 1, 1, 0}, // router alert, NOP, end
		Extensions: []wire.Extension{{Type: wire.Destination, Body: []byte{1, 4, 0, 0, 0, 0}}},
	}
	return []quote{
		{name: "all of it", length: whole},
		{name: "8 bytes of it", length: stub},
		{name: "IP options and all of it", length: whole, header: options},
		{name: "IP options and 8 bytes of it", length: stub, header: options},
		{name: "it with RFC 4884 extensions", length: whole, extend: extensions},
	}
}

// extensions appends an MPLS label stack to a quote of 128 bytes.
func extensions(v4 bool, rest uint32, quoted []byte) (uint32, []byte) {
	const length = 128
	object := []byte{0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x21, 0x40}
	binary.BigEndian.PutUint16(object[2:], extensionSum(object))
	if v4 {
		rest |= length / 4 << 16
	} else {
		rest |= length / 8 << 24
	}
	padded := append(slices.Clone(quoted), make([]byte, max(0, length-len(quoted)))...)
	return rest, append(padded[:length], object...)
}

func extensionSum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return ^uint16(s + s>>16)
}

// icmpErrors are those that routers and hosts send: type, code, and the second word.
func icmpErrors(v4 bool) []wire.Message {
	if v4 {
		return []wire.Message{
			{Type: 3, Code: 0}, {Type: 3, Code: 1}, {Type: 3, Code: 3}, {Type: 3, Code: 4, Rest: 1400}, {Type: 3, Code: 10},
			{Type: 3, Code: 13}, {Type: 11, Code: 0}, {Type: 11, Code: 1}, {Type: 12, Code: 0, Rest: 1 << 24},
		}
	}
	return []wire.Message{
		{Type: 1, Code: 0}, {Type: 1, Code: 1}, {Type: 1, Code: 3}, {Type: 1, Code: 4}, {Type: 2, Code: 0, Rest: 1400},
		{Type: 3, Code: 0}, {Type: 3, Code: 1}, {Type: 4, Code: 0, Rest: 6},
	}
}

// routed is a packet after so many routers.
func routed(packet []byte, hops uint8) []byte {
	b := slices.Clone(packet)
	if b[0]>>4 == 6 {
		b[7] -= hops
		return b
	}
	b[8] -= hops
	b[10], b[11] = 0, 0
	var s uint32
	for i := 0; i < int(b[0]&15)*4; i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(s))
	return b
}

// errorsIn sends every kind of error about a session's packet, from a router on the way, and from the peer itself.
func errorsIn(t *T, kind string, q quote) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	payload := t.Tag("to be complained about")
	sent := t.like(s, q.header, payload)
	s.Side.Emit(sent)
	got := t.Out().Expect(kind+" with what the error shall quote", carrying(payload))
	for _, from := range []netip.Addr{t.Peer(), s.Peer.Addr()} {
		for _, m := range icmpErrors(t.V4()) {
			n := q.length(got)
			m.Payload = got.Bytes[:n]
			want := routed(sent, 1)[:n]
			if q.extend != nil {
				if !extensible(t.V4(), m.Type) {
					continue
				}
				m.Rest, m.Payload = q.extend(t.V4(), m.Rest, m.Payload)
				_, want = q.extend(t.V4(), 0, want)
			}
			t.Out().Emit(wire.Header{}.ICMP(from, s.Ext.Addr(), m))
			t.expectError(s.Side, from, s.In.Addr(), m, want)
		}
	}
	t.Works(s, "after the errors")
}

// extensible types may have extensions (RFC 4884 section 4).
func extensible(v4 bool, kind uint8) bool {
	if v4 {
		return kind == 3 || kind == 11
	}
	return kind == 1 || kind == 3
}

// like is a session's next message with another IP header.
func (t *T) like(s *Session, h wire.Header, payload []byte) []byte {
	if s.Kind == tcp {
		p := h.TCP(s.In, s.Peer, wire.Segment{Flags: wire.PSH | wire.ACK, Seq: s.Seq, Ack: s.PeerSeq, Payload: payload})
		s.Seq += uint32(len(payload))
		return p
	}
	return messageWith(h, s.Kind, s.In, s.Peer, payload)
}

// expectError wants an error on a side, and that it quotes just this.
func (t *T) expectError(side *Side, from, to netip.Addr, m wire.Message, quoted []byte) {
	what := fmt.Sprintf("ICMP type %d code %d", m.Type, m.Code)
	p := side.Try(func(p *wire.Packet) bool {
		return p.IsError() && p.Type == m.Type && p.Code == m.Code && p.Src.Addr() == from && p.Rest == m.Rest
	})
	if p == nil {
		t.Fatalf("%s from %s does not arrive at %s%s", what, from, side.Name, side.arrived())
	}
	if p.Dst.Addr() != to {
		t.Errorf("%s arrives for %s, want %s", what, p.Dst.Addr(), to)
	}
	if err := p.CheckSums(); err != nil {
		t.Errorf("%s arrives at %s, but %v", what, side.Name, err)
	}
	t.sameQuote(what, p, quoted)
}

// sameQuote compares what an error quotes with what was sent.
func (t *T) sameQuote(what string, p *wire.Packet, want []byte) {
	if bytes.Equal(p.Payload, want) {
		return
	}
	at := 0
	for at < len(p.Payload) && at < len(want) && p.Payload[at] == want[at] {
		at++
	}
	t.Errorf("%s at %s quotes %d bytes, want %d; the first that differs is %d: got %s, want %s", what, p.Dst.Addr(),
		len(p.Payload), len(want), at, around(p.Payload, at), around(want, at))
}

func around(b []byte, at int) string { return fmt.Sprintf("%x", b[min(at, len(b)):min(at+8, len(b))]) }

// publishedAt is where a published port of x1 is found.
func (t *T) publishedAt(kind string) netip.AddrPort { return t.reach("x1", kind) }

// errorsOut: the container complains about what a peer sent to its published port.
func errorsOut(t *T, kind string, q quote) {
	x1, at, peer := t.In("x1"), t.publishedAt(kind), netip.AddrPortFrom(t.Peer(), t.Port())
	payload := t.Tag("to a closed port")
	sent := message(kind, peer, at, payload)
	if kind == tcp {
		sent = wire.Header{}.TCP(peer, at, wire.Segment{Flags: wire.SYN, Seq: t.Seq(), Payload: payload})
	}
	t.Out().Emit(sent)
	got := x1.Expect("what is sent to the published port", carrying(payload))
	for _, m := range icmpErrors(t.V4()) {
		n := q.length(got)
		m.Payload = got.Bytes[:n]
		x1.Emit(wire.Header{}.ICMP(x1.Addr, peer.Addr(), m))
		t.expectError(t.Out(), at.Addr(), peer.Addr(), m, routed(sent, 1)[:n])
	}
}

// errorAboutAnswer: the container complains about the answer to what it sent.
func errorAboutAnswer(t *T, kind string) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	payload := t.Tag("an answer too late")
	sent := s.InPacket(payload)
	t.Out().Emit(sent)
	got := s.Side.Expect("the answer", carrying(payload))
	m := wire.Message{Type: 3, Code: 3, Payload: got.Bytes}
	if !t.V4() {
		m.Type, m.Code = 1, 4
	}
	s.Side.Emit(wire.Header{}.ICMP(s.In.Addr(), s.Peer.Addr(), m))
	t.expectError(t.Out(), s.Ext.Addr(), s.Peer.Addr(), m, routed(sent, 1))
}

// wrongChecksum: an error that was damaged on the way must not look sound afterwards (RFC 5508 REQ-3).
func wrongChecksum(t *T) {
	s := t.Open(udp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	payload := t.Tag("quoted")
	s.Side.Emit(s.OutPacket(payload))
	got := t.Out().Expect("the packet", carrying(payload))
	m := icmpErrors(t.V4())[2]
	m.Payload = got.Bytes
	damaged := wire.Header{}.ICMP(t.Peer(), s.Ext.Addr(), m)
	damaged[len(damaged)-1] ^= 0x55
	t.Out().Emit(damaged)
	s.Side.Never("a damaged error, as a sound one,", func(p *wire.Packet) bool { return p.IsError() && p.CheckSums() == nil })
}

// errorAboutNothing: errors about sessions that do not exist, from outside.
func errorAboutNothing(t *T) {
	m := icmpErrors(t.V4())[2]
	peer := netip.AddrPortFrom(t.Peer(), 53)
	for _, kind := range []string{udp, tcp, ping} {
		m.Payload = message(kind, netip.AddrPortFrom(t.HostAddr(), t.Port()), peer, t.Tag("never sent"))
		t.Out().Emit(wire.Header{}.ICMP(peer.Addr(), t.HostAddr(), m))
	}
	for _, name := range deaf() {
		t.In(name).Never("an error about nothing", func(p *wire.Packet) bool { return p.IsError() })
	}
}

// lastHopIn: traceroute from outside ends at the host, which must not tell where it would have led.
func lastHopIn(t *T) {
	peer := netip.AddrPortFrom(t.Peer(), t.Port())
	for _, kind := range []string{udp, tcp} {
		sent := messageWith(wire.Header{TTL: 1}, kind, peer, t.publishedAt(kind), t.Tag("last hop"))
		if kind == tcp {
			sent = wire.Header{TTL: 1}.TCP(peer, t.publishedAt(kind), wire.Segment{Flags: wire.SYN, Seq: t.Seq()})
		}
		t.Out().Emit(sent)
		p := t.Out().Try(func(p *wire.Packet) bool {
			q, err := p.Quote()
			return err == nil && q.Proto == proto(kind, t.V4()) && q.Src == peer
		})
		if p == nil {
			t.Errorf("no error about %s with TTL 1 arrives at R%s", kind, t.Out().arrived())
			continue
		}
		if p.Src.Addr() != t.HostAddr() || p.Code != 0 || p.Type != map[bool]uint8{true: 11, false: 3}[t.V4()] {
			t.Errorf("want time exceeded from %s, got %v", t.HostAddr(), p)
		}
		if err := p.CheckSums(); err != nil {
			t.Errorf("time exceeded: %v", err)
		}
		t.quotesPart("time exceeded", p, sent)
	}
}
