// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N19: what a NAT has no business with stays as it is (RFC 7915 section 4.1 and 5.1 for the TTL; RFC 6040, RFC 2474).
func headerCases() []Case {
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all,
			Case{ID: "N19", Name: "TTL, DSCP, ECN, identification, DF and flow label of " + kind, Run: func(t *T) { headerKept(t, kind) }},
			Case{ID: "N19", Name: "IP options of " + kind, Run: func(t *T) { optionsKept(t, kind) }},
			Case{ID: "N19", Name: "time exceeded from the gateway for " + kind, Run: func(t *T) { lastHopOut(t, kind) }},
		)
	}
	return append(all,
		Case{ID: "N19", Name: "header fields to a published port", Run: headerKeptPublished},
		Case{ID: "N19", Name: "UDP checksum zero stays zero", Run: zeroChecksum},
		Case{ID: "N19", Name: "UDP checksum that comes out as zero", Run: checksumBecomesZero},
		Case{ID: "N19", Name: "TCP options and flags", Run: tcpKept},
		Case{ID: "N19", Name: "time exceeded for TTL 1 to a published port of another network", NAT: true, Run: lastHopHairpin},
	)
}

// headers are combinations of what must not change.
func headers(v4 bool) []wire.Header {
	var all []wire.Header
	for ecn := range uint8(4) {
		all = append(all, wire.Header{TTL: 37, TOS: 46<<2 | ecn, ID: 0x1234, DF: ecn%2 == 0, FlowLabel: 0xabcde})
	}
	all = append(all, wire.Header{TTL: 255, TOS: 8 << 2, ID: 0xffff, DF: true}, wire.Header{TTL: 2, ID: 1})
	if !v4 {
		for i := range all {
			all[i].DF = false
		}
	}
	return all
}

// sameHeader compares what arrived with what was sent.
func (t *T) sameHeader(where string, h wire.Header, p *wire.Packet) {
	if p.TTL != h.TTL-1 {
		t.Errorf("%s: TTL %d arrives as %d", where, h.TTL, p.TTL)
	}
	if p.TOS != h.TOS {
		t.Errorf("%s: DSCP and ECN %#x arrive as %#x", where, h.TOS, p.TOS)
	}
	if t.V4() && (p.ID != uint32(h.ID) || p.DF != h.DF) {
		t.Errorf("%s: identification %#x, DF %v arrive as %#x, %v", where, h.ID, h.DF, p.ID, p.DF)
	}
	if !t.V4() && p.FlowLabel != h.FlowLabel {
		t.Errorf("%s: flow label %#x arrives as %#x", where, h.FlowLabel, p.FlowLabel)
	}
}

func headerKept(t *T, kind string) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	for _, h := range headers(t.V4()) {
		payload := t.Tag("out")
		s.Side.Emit(t.like(s, h, payload))
		t.sameHeader("out", h, t.Out().Expect(kind, carrying(payload)))
		payload = t.Tag("in")
		t.Out().Emit(t.likeIn(s, h, payload))
		t.sameHeader("in", h, s.Side.Expect(kind, carrying(payload)))
	}
}

// likeIn is the peer's next message with another IP header.
func (t *T) likeIn(s *Session, h wire.Header, payload []byte) []byte {
	if s.Kind == tcp {
		p := h.TCP(s.Peer, s.Ext, wire.Segment{Flags: wire.PSH | wire.ACK, Seq: s.PeerSeq, Ack: s.Seq, Payload: payload})
		s.PeerSeq += uint32(len(payload))
		return p
	}
	return messageWith(h, s.Kind, s.Peer, s.Ext, payload)
}

func headerKeptPublished(t *T) {
	peer := netip.AddrPortFrom(t.Peer(), t.Port())
	at, x1 := t.publishedAt(udp), t.In("x1")
	for _, h := range headers(t.V4()) {
		payload := t.Tag("in")
		t.Out().Emit(h.UDP(peer, at, payload))
		t.sameHeader("in", h, x1.Expect("a datagram", carrying(payload)))
		payload = t.Tag("out")
		x1.Emit(h.UDP(x1.At(portX1), peer, payload))
		t.sameHeader("out", h, t.Out().Expect("the answer", carrying(payload)))
	}
}

// optionsKept: routers must look at router alert and pass on what they do not know.
func optionsKept(t *T, kind string) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	all := []wire.Header{
		{Options: []byte{0x94, 4, 0, 0}},             // router alert
		{Options: []byte{1, 1, 1, 0}},                // NOP and end
		{Options: []byte{0x9e, 8, 1, 2, 3, 4, 5, 6}}, // experimental (RFC 4727)
		{Options: append(make([]byte, 39), 0)[:40]},  // as long as can be
	}
	if !t.V4() {
		pad := []byte{1, 4, 0, 0, 0, 0}
		all = []wire.Header{
			{Extensions: []wire.Extension{{Type: wire.Destination, Body: pad}}},
			{Extensions: []wire.Extension{{Type: wire.HopByHop, Body: pad}}},
			{Extensions: []wire.Extension{{Type: wire.HopByHop, Body: pad}, {Type: wire.Destination, Body: append([]byte{1, 12}, make([]byte, 12)...)}}},
		}
	}
	for _, h := range all {
		payload := t.Tag("out")
		sent := t.like(s, h, payload)
		t.sameOptions("out", sent, s.Side, t.Out(), payload)
		payload = t.Tag("in")
		sent = t.likeIn(s, h, payload)
		t.sameOptions("in", sent, t.Out(), s.Side, payload)
	}
}

func (t *T) sameOptions(where string, sent []byte, from, to *Side, payload []byte) {
	want, err := wire.Parse(sent)
	t.must(err)
	from.Emit(sent)
	p := to.Try(carrying(payload))
	switch {
	case p == nil:
		t.Errorf("%s: a packet with options %x does not arrive%s", where, want.Options, to.arrived())
	case !bytes.Equal(p.Options, want.Options):
		t.Errorf("%s: options %x arrive as %x", where, want.Options, p.Options)
	case p.CheckSums() != nil:
		t.Errorf("%s: with options %x: %v", where, want.Options, p.CheckSums())
	}
}

// timeExceeded matches the error about a packet of a session.
func (t *T) timeExceeded(kind string, src netip.AddrPort) func(*wire.Packet) bool {
	return func(p *wire.Packet) bool {
		q, err := p.Quote()
		return err == nil && p.Code == 0 && p.Type == map[bool]uint8{true: 11, false: 3}[p.V4] &&
			q.Proto == proto(kind, p.V4) && q.Src == src
	}
}

// lastHopOut: the first line of a traceroute is the gateway, whether the session is new or not.
func lastHopOut(t *T, kind string) {
	x1, gateway := t.In("x1"), t.gateway(0)
	port, peer := t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	fresh := messageWith(wire.Header{TTL: 1}, kind, x1.At(port), peer, t.Tag("fresh"))
	if kind == tcp {
		fresh = wire.Header{TTL: 1}.TCP(x1.At(port), peer, wire.Segment{Flags: wire.SYN, Seq: t.Seq()})
	}
	t.exceeds(x1, kind, x1.At(port), gateway, fresh)
	s := t.Open(kind, x1, t.Port(), peer)
	t.exceeds(x1, kind, s.In, gateway, t.like(s, wire.Header{TTL: 1}, t.Tag("established")))
}

func (t *T) exceeds(side *Side, kind string, src netip.AddrPort, from netip.Addr, sent []byte) {
	side.Emit(sent)
	p := side.Try(t.timeExceeded(kind, src))
	if p == nil {
		t.Errorf("no time exceeded for %s arrives at %s%s", kind, side.Name, side.arrived())
		return
	}
	if p.Src.Addr() != from {
		t.Errorf("time exceeded comes from %s, want %s", p.Src.Addr(), from)
	}
	if err := p.CheckSums(); err != nil {
		t.Errorf("time exceeded: %v", err)
	}
	t.quotesPart("time exceeded", p, sent)
}

// lastHopHairpin: by the host's address to another network is a hop too.
func lastHopHairpin(t *T) {
	y1, port := t.In("y1"), t.Port()
	t.exceeds(y1, udp, y1.At(port), t.gateway(1), wire.Header{TTL: 1}.UDP(y1.At(port), t.publishedAt(udp), t.Tag("last hop")))
}

// gateway is that of network one or two.
func (t *T) gateway(network int) netip.Addr {
	n := spec().Networks[network]
	if t.V4() {
		return n.Gateway4
	}
	return n.Gateway6
}

func withoutChecksum(packet []byte) []byte {
	packet[26], packet[27] = 0, 0
	return packet
}

func zeroChecksum(t *T) {
	if !t.V4() {
		t.NotApplicable("IPv6 has no UDP without a checksum")
	}
	s := t.Open(udp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	for range 2 {
		payload := t.Tag("out")
		s.Side.Emit(withoutChecksum(s.OutPacket(payload)))
		t.zero("out", t.Out().Expect("a datagram without checksum", carrying(payload)))
		payload = t.Tag("in")
		t.Out().Emit(withoutChecksum(s.InPacket(payload)))
		t.zero("in", s.Side.Expect("a datagram without checksum", carrying(payload)))
	}
}

func (t *T) zero(where string, p *wire.Packet) {
	if sum := binary.BigEndian.Uint16(p.L4[6:]); sum != 0 {
		t.Errorf("%s: checksum 0 arrives as %#x", where, sum)
	}
}

// checksumBecomesZero: a sum of zero is written as ffff (RFC 768).
func checksumBecomesZero(t *T) {
	s := t.Open(udp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	sumOf := func(packet []byte) uint16 {
		p, err := wire.Parse(packet)
		t.must(err)
		return binary.BigEndian.Uint16(p.L4[6:])
	}
	payload := append(t.Tag("zero"), ' ')
	payload = append(payload[:len(payload)&^1], 0, 0)
	word := payload[len(payload)-2:]
	binary.BigEndian.PutUint16(word, sumOf(message(udp, s.Ext, s.Peer, payload)))
	s.Side.Emit(s.OutPacket(payload))
	p := t.Out().Expect("the datagram", carrying(payload))
	if sum := sumOf(p.Bytes); sum != 0xffff {
		t.Errorf("out: the checksum is %#x, want 0xffff", sum)
	}
	copy(word, []byte{0, 0})
	binary.BigEndian.PutUint16(word, sumOf(message(udp, s.Peer, s.In, payload)))
	t.Out().Emit(s.InPacket(payload))
	p = s.Side.Expect("the answer", carrying(payload))
	if sum := sumOf(p.Bytes); sum != 0xffff {
		t.Errorf("in: the checksum is %#x, want 0xffff", sum)
	}
}

// tcpKept: options, urgent pointer, reserved and ECN flags are the two ends' business.
func tcpKept(t *T) {
	s := t.Open(tcp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 80))
	options := []byte{8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 253, 4, 0xab, 0xcd, 1, 0}
	for _, flags := range []uint8{wire.ACK | 0x80, wire.ACK | 0x40, wire.PSH | wire.ACK | wire.URG} {
		seg := wire.Segment{Flags: flags, Seq: s.Seq, Ack: s.PeerSeq, Options: options, Payload: t.Tag("options")}
		sent := wire.Header{}.TCP(s.In, s.Peer, seg)
		s.Seq += uint32(len(seg.Payload))
		s.Side.Emit(sent)
		p := t.Out().Expect("a segment with options", carrying(seg.Payload))
		want, err := wire.Parse(sent)
		t.must(err)
		// All but ports and checksum.
		if !bytes.Equal(p.L4[4:16], want.L4[4:16]) || !bytes.Equal(p.L4[18:], want.L4[18:]) {
			t.Errorf("the segment %x arrives as %x", want.L4, p.L4)
		}
	}
}
