// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Packet is an IP packet taken apart. Cut-off and odd packets are taken apart as far as they go.
type Packet struct {
	Bytes []byte // from the IP header on, without the padding of short frames
	V4    bool
	// Src and Dst have the ports of TCP and UDP. An echo request has its identifier as the source's port and 0 as the
	// destination's; a reply the other way round: so a session is the same pair for all three.
	Src, Dst  netip.AddrPort
	Proto     uint8 // after the extension headers
	TTL, TOS  uint8
	ID        uint32 // of IPv4, or of the fragment header
	DF        bool
	FlowLabel uint32
	Options   []byte // of IPv4; or the IPv6 extension headers
	// Fragmented, and where in the whole it belongs.
	Fragmented, More bool
	Offset           int

	L4         []byte // from the transport header on; of a later fragment, its piece
	Flags      uint8  // of TCP
	Seq, Ack   uint32 // of TCP; Seq of echo messages too
	Type, Code uint8  // of ICMP
	Rest       uint32 // of ICMP
	Payload    []byte // after the transport header
}

var errShort = errors.New("cut short")

// Parse takes an IP packet apart.
func Parse(b []byte) (Packet, error) {
	var p Packet
	var err error
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		err = p.parse4(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		err = p.parse6(b)
	default:
		return p, errors.New("not an IP packet")
	}
	if err == nil && p.Offset == 0 {
		p.parseTransport()
	}
	return p, err
}

func (p *Packet) parse4(b []byte) error {
	hlen, length := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	p.V4, p.TOS, p.TTL, p.Proto = true, b[1], b[8], b[9]
	p.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), 0)
	p.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 0)
	p.Bytes = b
	if hlen < 20 || hlen > len(b) || length < hlen {
		return errShort
	}
	p.Bytes = b[:min(length, len(b))]
	p.ID = uint32(binary.BigEndian.Uint16(b[4:]))
	frag := binary.BigEndian.Uint16(b[6:])
	p.DF, p.More, p.Offset = frag&0x4000 != 0, frag&0x2000 != 0, int(frag&0x1fff)*8
	p.Fragmented = p.More || p.Offset > 0
	p.Options, p.L4 = p.Bytes[20:hlen], p.Bytes[hlen:]
	return nil
}

func (p *Packet) parse6(b []byte) error {
	word := binary.BigEndian.Uint32(b)
	p.TOS, p.FlowLabel, p.TTL = uint8(word>>20), word&0xfffff, b[7]
	p.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), 0)
	p.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), 0)
	p.Bytes = b[:min(40+int(binary.BigEndian.Uint16(b[4:])), len(b))]
	p.Proto, p.L4 = b[6], p.Bytes[40:]
	for {
		switch p.Proto {
		case HopByHop, Routing, Destination:
			if len(p.L4) < 8 || len(p.L4) < 8+int(p.L4[1])*8 {
				return errShort
			}
			n := 8 + int(p.L4[1])*8
			p.Options = append(p.Options, p.L4[:n]...)
			p.Proto, p.L4 = p.L4[0], p.L4[n:]
		case Fragment:
			if len(p.L4) < 8 {
				return errShort
			}
			at := binary.BigEndian.Uint16(p.L4[2:])
			p.Fragmented, p.More, p.Offset = true, at&1 != 0, int(at&0xfff8)
			p.ID = binary.BigEndian.Uint32(p.L4[4:])
			p.Proto, p.L4 = p.L4[0], p.L4[8:]
			if p.Offset > 0 {
				return nil
			}
		default:
			return nil
		}
	}
}

func (p *Packet) parseTransport() {
	b := p.L4
	ports := func(src, dst uint16) {
		p.Src, p.Dst = netip.AddrPortFrom(p.Src.Addr(), src), netip.AddrPortFrom(p.Dst.Addr(), dst)
	}
	switch {
	case (p.Proto == TCP || p.Proto == UDP) && len(b) >= 8:
		ports(binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]))
		p.Payload = b[8:]
		p.Seq = binary.BigEndian.Uint32(b[4:])
		if p.Proto == UDP {
			p.Seq = 0
		} else if len(b) >= 20 {
			p.Flags, p.Ack = b[13], binary.BigEndian.Uint32(b[8:])
			p.Payload = b[min(int(b[12]>>4)*4, len(b)):]
		}
	case (p.Proto == ICMP && p.V4 || p.Proto == ICMPv6 && !p.V4) && len(b) >= 8:
		p.Type, p.Code, p.Rest, p.Payload = b[0], b[1], binary.BigEndian.Uint32(b[4:]), b[8:]
		switch p.Type {
		case EchoRequest(p.V4):
			ports(uint16(p.Rest>>16), 0)
		case EchoReply(p.V4):
			ports(0, uint16(p.Rest>>16))
		default:
			return
		}
		p.Seq = p.Rest & 0xffff
	}
}

// IsError tells ICMP errors.
func (p *Packet) IsError() bool {
	switch {
	case len(p.L4) < 8 || p.Offset > 0:
		return false
	case p.V4:
		return p.Proto == ICMP && (p.Type == 3 || p.Type == 11 || p.Type == 12 || p.Type == 5)
	}
	return p.Proto == ICMPv6 && p.Type < 128
}

// Quote is the packet that an ICMP error quotes.
func (p *Packet) Quote() (Packet, error) {
	if !p.IsError() {
		return Packet{}, errors.New("not an ICMP error")
	}
	return Parse(p.Payload)
}

// CheckSums is nil when all checksums of an unfragmented packet are right; of a fragment, that of its IP header.
func (p *Packet) CheckSums() error {
	if p.V4 && fold(add(0, p.Bytes[:20+len(p.Options)])) != 0xffff {
		return errors.New("the IP header's checksum is wrong")
	}
	if p.Fragmented {
		return nil
	}
	return p.checkTransport()
}

func (p *Packet) checkTransport() error {
	var sum uint64
	switch {
	case p.Proto == ICMP && p.V4:
		sum = add(0, p.L4)
	case p.Proto == TCP, p.Proto == UDP, p.Proto == ICMPv6:
		if p.Proto == UDP && len(p.L4) >= 8 && p.L4[6] == 0 && p.L4[7] == 0 {
			if !p.V4 {
				return errors.New("UDP over IPv6 without a checksum")
			}
			return nil
		}
		sum = add(add(0, p.Src.Addr().AsSlice()), p.Dst.Addr().AsSlice())
		sum = add(sum+uint64(p.Proto)+uint64(len(p.L4)), p.L4)
	default:
		return nil
	}
	if fold(sum) != 0xffff {
		return fmt.Errorf("the checksum of %s is wrong", protoName(p.Proto))
	}
	return nil
}

func protoName(proto uint8) string {
	switch proto {
	case ICMP:
		return "icmp"
	case ICMPv6:
		return "icmp6"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol %d", proto)
}

// String is one line for messages of failed cases.
func (p Packet) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s > %s", protoName(p.Proto), p.Src, p.Dst)
	switch {
	case p.Fragmented && p.Offset > 0:
		fmt.Fprintf(&b, " fragment at %d of %d", p.Offset, p.ID)
	case p.Proto == TCP:
		b.WriteString(" " + flagNames(p.Flags))
	case p.IsError():
		fmt.Fprintf(&b, " type %d code %d rest %#x", p.Type, p.Code, p.Rest)
		if q, err := p.Quote(); err == nil {
			fmt.Fprintf(&b, " about (%s)", q)
		}
	case p.Proto == ICMP, p.Proto == ICMPv6:
		fmt.Fprintf(&b, " type %d", p.Type)
	}
	fmt.Fprintf(&b, " ttl %d length %d", p.TTL, len(p.Bytes))
	return b.String()
}

func flagNames(flags uint8) string {
	var s []byte
	for i, c := range "FSRPAU" {
		if flags&(1<<i) != 0 {
			s = append(s, byte(c))
		}
	}
	return "[" + string(s) + "]"
}
