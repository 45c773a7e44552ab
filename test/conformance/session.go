// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
)

// Kinds of sessions.
const (
	udp  = "udp"
	tcp  = "tcp"
	ping = "ping"
)

// Session is what a deaf container has with a peer: who it is inside, how the peer sees it, and the peer. Ping has its
// identifier for a port, and a peer with port 0.
type Session struct {
	Kind         string
	Side         *Side
	In, Ext      netip.AddrPort
	Peer         netip.AddrPort
	Seq, PeerSeq uint32 // of the next TCP byte of either side
}

// proto is the IP protocol of a kind of session.
func proto(kind string, v4 bool) uint8 {
	switch {
	case kind == tcp:
		return wire.TCP
	case kind == udp:
		return wire.UDP
	case v4:
		return wire.ICMP
	}
	return wire.ICMPv6
}

// peerPort is the port that a peer of a kind of session has.
func peerPort(kind string, port uint16) uint16 {
	if kind == ping {
		return 0
	}
	return port
}

// Tag is a payload that no other packet of the lab has.
func (t *T) Tag(text string) []byte {
	return fmt.Appendf(nil, "<%s %d.%d>", text, t.Port(), t.Family)
}

// carrying matches packets with this payload.
func carrying(payload []byte) func(*wire.Packet) bool {
	return func(p *wire.Packet) bool { return !p.IsError() && bytes.Equal(p.Payload, payload) }
}

// segment matches a TCP segment with these flags, from and to these ports.
func segment(flags uint8, from, to netip.AddrPort) func(*wire.Packet) bool {
	return func(p *wire.Packet) bool {
		return p.Proto == wire.TCP && p.Offset == 0 && p.Flags == flags && p.Src == from && p.Dst == to
	}
}

// numbered matches the SYN with this sequence number to a peer, from whomever.
func numbered(seq uint32, peer netip.AddrPort) func(*wire.Packet) bool {
	return func(p *wire.Packet) bool {
		return p.Proto == wire.TCP && p.Flags == wire.SYN && p.Seq == seq && p.Dst == peer
	}
}

// Seq is an initial sequence number that no other session of the lab has.
func (t *T) Seq() uint32 { return uint32(t.Port()) << 16 }

// message is a packet of a kind of session: a datagram, an echo request or reply, or a segment with data.
func message(kind string, from, to netip.AddrPort, payload []byte) []byte {
	return messageWith(wire.Header{}, kind, from, to, payload)
}

func messageWith(h wire.Header, kind string, from, to netip.AddrPort, payload []byte) []byte {
	switch kind {
	case udp:
		return h.UDP(from, to, payload)
	case ping:
		return h.Echo(from, to, 1, payload)
	}
	return h.TCP(from, to, wire.Segment{Flags: wire.PSH | wire.ACK, Payload: payload})
}

// Open begins a session from a port of a side. For TCP that is the whole handshake.
func (t *T) Open(kind string, side *Side, port uint16, peer netip.AddrPort) *Session {
	s := &Session{Kind: kind, Side: side, In: side.At(port), Peer: peer, Seq: t.Seq(), PeerSeq: t.Seq()}
	if kind == tcp {
		t.handshake(s)
		return s
	}
	payload := t.Tag("open")
	side.Emit(message(kind, s.In, peer, payload))
	s.Ext = t.Out().Expect(kind+" from "+side.Name, carrying(payload)).Src
	return s
}

func (t *T) handshake(s *Session) {
	out := t.Out()
	s.Side.Emit(wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: wire.SYN, Seq: s.Seq}))
	s.Ext = out.Expect("SYN from "+s.Side.Name, numbered(s.Seq, s.Peer)).Src
	s.Seq++
	out.Emit(wire.Header{}.TCP(s.Peer, s.Ext, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: s.PeerSeq, Ack: s.Seq}))
	s.PeerSeq++
	s.Side.Expect("SYN and ACK from the peer", segment(wire.SYN|wire.ACK, s.Peer, s.In))
	s.Side.Emit(wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: wire.ACK, Seq: s.Seq, Ack: s.PeerSeq}))
	out.Expect("ACK from "+s.Side.Name, segment(wire.ACK, s.Ext, s.Peer))
}

// OutPacket is the session's next packet from inside, and InPacket the next one to it.
func (s *Session) OutPacket(payload []byte) []byte {
	if s.Kind != tcp {
		return message(s.Kind, s.In, s.Peer, payload)
	}
	p := wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: wire.PSH | wire.ACK, Seq: s.Seq, Ack: s.PeerSeq, Payload: payload})
	s.Seq += uint32(len(payload))
	return p
}

// InPacket is what the peer sends.
func (s *Session) InPacket(payload []byte) []byte {
	if s.Kind != tcp {
		return message(s.Kind, s.Peer, s.Ext, payload)
	}
	p := wire.Header{}.TCP(s.Peer, s.Ext, wire.Segment{Flags: wire.PSH | wire.ACK, Seq: s.PeerSeq, Ack: s.Seq, Payload: payload})
	s.PeerSeq += uint32(len(payload))
	return p
}

// Works sends a message each way, and the mapping must be the same.
func (t *T) Works(s *Session, when string) {
	if !t.GoesOut(s, when) {
		return
	}
	payload := t.Tag("in")
	t.Out().Emit(s.InPacket(payload))
	if p := s.Side.Try(carrying(payload)); p == nil {
		t.Errorf("%s: a %s message to %s for %s does not arrive at %s%s", when, s.Kind, s.Ext, s.In, s.Side.Name, s.Side.arrived())
	} else if p.Src != s.Peer || p.Dst != s.In {
		t.Errorf("%s: %s arrives as %v, want it from %s to %s", when, s.Kind, p, s.Peer, s.In)
	} else if err := p.CheckSums(); err != nil {
		t.Errorf("%s: %v: %v", when, err, p)
	} else if s.Kind == tcp {
		s.Side.Emit(wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: wire.ACK, Seq: s.Seq, Ack: s.PeerSeq}))
		if t.Out().Try(segment(wire.ACK, s.Ext, s.Peer)) == nil {
			t.Errorf("%s: the ACK does not arrive at R", when)
		}
	}
}

// GoesOut sends a message out, and reports whether it came as the mapping says.
func (t *T) GoesOut(s *Session, when string) bool {
	payload := t.Tag("out")
	s.Side.Emit(s.OutPacket(payload))
	p := t.Out().Try(carrying(payload))
	switch {
	case p == nil:
		t.Errorf("%s: a %s message of %s to %s does not arrive at R%s", when, s.Kind, s.In, s.Peer, t.Out().arrived())
	case p.Src != s.Ext:
		t.Errorf("%s: %s's %s comes from %s, it was %s", when, s.In, s.Kind, p.Src, s.Ext)
	case p.CheckSums() != nil:
		t.Errorf("%s: %v: %v", when, p.CheckSums(), p)
	default:
		return true
	}
	return false
}
