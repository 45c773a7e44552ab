// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers.
const (
	ICMP     = 1
	TCP      = 6
	UDP      = 17
	Fragment = 44
	ICMPv6   = 58
)

// TCP flags.
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// IPv6 extension headers.
const (
	HopByHop    = 0
	Routing     = 43
	Destination = 60
)

// Extension is an IPv6 extension header; Body is what follows its first two bytes, 6 bytes or 8 more, or 16 …
type Extension struct {
	Type uint8
	Body []byte
}

// Header is what varies in an IP header. The zero value is a plain one with a TTL of 64.
type Header struct {
	TTL, TOS   uint8
	ID         uint16
	DF         bool
	FlowLabel  uint32
	Options    []byte      // of IPv4, a multiple of 4 bytes
	Extensions []Extension // of IPv6
}

// Packet puts an IP header before a payload.
func (h Header) Packet(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	if h.TTL == 0 {
		h.TTL = 64
	}
	if dst.Is4() {
		return h.packet4(src, dst, proto, payload)
	}
	return h.packet6(src, dst, proto, payload)
}

func (h Header) packet4(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	length := 20 + len(h.Options)
	p := make([]byte, length, length+len(payload))
	p[0], p[1], p[8], p[9] = 0x40|uint8(length/4), h.TOS, h.TTL, proto
	binary.BigEndian.PutUint16(p[2:], uint16(length+len(payload)))
	binary.BigEndian.PutUint16(p[4:], h.ID)
	if h.DF {
		p[6] = 0x40
	}
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	copy(p[20:], h.Options)
	binary.BigEndian.PutUint16(p[10:], checksum(p))
	return append(p, payload...)
}

func (h Header) packet6(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	var chain []byte
	for i, e := range h.Extensions {
		next := proto
		if i+1 < len(h.Extensions) {
			next = h.Extensions[i+1].Type
		}
		chain = append(append(chain, next, uint8((len(e.Body)+2)/8-1)), e.Body...)
	}
	first := proto
	if len(h.Extensions) > 0 {
		first = h.Extensions[0].Type
	}
	p := make([]byte, 40, 40+len(chain)+len(payload))
	binary.BigEndian.PutUint32(p, 6<<28|uint32(h.TOS)<<20|h.FlowLabel&0xfffff)
	binary.BigEndian.PutUint16(p[4:], uint16(len(chain)+len(payload)))
	p[6], p[7] = first, h.TTL
	copy(p[8:], src.AsSlice())
	copy(p[24:], dst.AsSlice())
	return append(append(p, chain...), payload...)
}

// UDP is a packet with a UDP datagram.
func (h Header) UDP(src, dst netip.AddrPort, payload []byte) []byte {
	d := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(d[0:], src.Port())
	binary.BigEndian.PutUint16(d[2:], dst.Port())
	binary.BigEndian.PutUint16(d[4:], uint16(8+len(payload)))
	d = append(d, payload...)
	sum := transportChecksum(src.Addr(), dst.Addr(), UDP, d)
	if sum == 0 {
		sum = 0xffff // zero means "no checksum"
	}
	binary.BigEndian.PutUint16(d[6:], sum)
	return h.Packet(src.Addr(), dst.Addr(), UDP, d)
}

// Segment is what varies in a TCP segment.
type Segment struct {
	Flags    uint8
	Seq, Ack uint32
	Options  []byte // a multiple of 4 bytes
	Payload  []byte
}

// TCP is a packet with a TCP segment.
func (h Header) TCP(src, dst netip.AddrPort, s Segment) []byte {
	b := make([]byte, 20, 20+len(s.Options)+len(s.Payload))
	binary.BigEndian.PutUint16(b[0:], src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], s.Seq)
	binary.BigEndian.PutUint32(b[8:], s.Ack)
	b[12], b[13] = uint8(20+len(s.Options))/4<<4, s.Flags
	binary.BigEndian.PutUint16(b[14:], 65535)
	b = append(append(b, s.Options...), s.Payload...)
	binary.BigEndian.PutUint16(b[16:], transportChecksum(src.Addr(), dst.Addr(), TCP, b))
	return h.Packet(src.Addr(), dst.Addr(), TCP, b)
}

// Echo is a packet with an ICMP echo request, whose identifier is the source's port; or a reply, whose identifier is the
// destination's.
func (h Header) Echo(src, dst netip.AddrPort, seq uint16, payload []byte) []byte {
	m := Message{Type: EchoRequest(dst.Addr().Is4()), Rest: uint32(src.Port()) << 16}
	if src.Port() == 0 {
		m = Message{Type: EchoReply(dst.Addr().Is4()), Rest: uint32(dst.Port()) << 16}
	}
	m.Rest |= uint32(seq)
	m.Payload = payload
	return h.ICMP(src.Addr(), dst.Addr(), m)
}

// Message is an ICMP message. Rest is the second word of its header.
type Message struct {
	Type, Code uint8
	Rest       uint32
	Payload    []byte
}

// ICMP is a packet with an ICMP or ICMPv6 message, by the family of its addresses.
func (h Header) ICMP(src, dst netip.Addr, m Message) []byte {
	b := make([]byte, 8, 8+len(m.Payload))
	b[0], b[1] = m.Type, m.Code
	binary.BigEndian.PutUint32(b[4:], m.Rest)
	b = append(b, m.Payload...)
	if dst.Is4() {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
		return h.Packet(src, dst, ICMP, b)
	}
	binary.BigEndian.PutUint16(b[2:], transportChecksum(src, dst, ICMPv6, b))
	return h.Packet(src, dst, ICMPv6, b)
}

// EchoRequest and EchoReply are ICMP types of a family.
func EchoRequest(v4 bool) uint8 { return pick[uint8](v4, 8, 128) }

// EchoReply is the type of the answer.
func EchoReply(v4 bool) uint8 { return pick[uint8](v4, 0, 129) }

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func checksum(b []byte) uint16 { return ^fold(add(0, b)) }

func transportChecksum(src, dst netip.Addr, proto uint8, l4 []byte) uint16 {
	s := add(add(0, src.AsSlice()), dst.AsSlice()) + uint64(proto) + uint64(len(l4))
	return ^fold(add(s, l4))
}

func add(s uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
