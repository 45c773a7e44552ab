// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Ethernet and IP protocol numbers for the builders.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
	EtherTypeIPv6 = 0x86dd

	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// Broadcast is the Ethernet broadcast address.
func Broadcast() net.HardwareAddr { return net.HardwareAddr{255, 255, 255, 255, 255, 255} }

// EthernetFrame puts an Ethernet header before a payload.
func EthernetFrame(dst, src net.HardwareAddr, etherType uint16, payload []byte) []byte {
	f := make([]byte, 0, 14+len(payload))
	f = append(append(f, dst...), src...)
	f = binary.BigEndian.AppendUint16(f, etherType)
	return append(f, payload...)
}

// IPFrame puts an Ethernet header of the right type before an IP packet.
func IPFrame(dst, src net.HardwareAddr, packet []byte) []byte {
	if len(packet) > 0 && packet[0]>>4 == 6 {
		return EthernetFrame(dst, src, EtherTypeIPv6, packet)
	}
	return EthernetFrame(dst, src, EtherTypeIPv4, packet)
}

// ARPRequest asks who has target, as a broadcast frame.
func ARPRequest(mac net.HardwareAddr, sender, target netip.Addr) []byte {
	p := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	p = append(append(p, mac...), sender.AsSlice()...)
	p = append(append(p, make([]byte, 6)...), target.AsSlice()...)
	return EthernetFrame(Broadcast(), mac, EtherTypeARP, p)
}

// UDPPacket is an IP packet with a UDP datagram, of the family of its
// addresses, checksums filled in.
func UDPPacket(src, dst netip.AddrPort, payload []byte) []byte {
	h := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(h[0:], src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(payload)))
	seg := append(h, payload...)
	sum := l4Checksum(src.Addr(), dst.Addr(), ProtoUDP, seg)
	if sum == 0 {
		sum = 0xffff // zero means "no checksum"
	}
	binary.BigEndian.PutUint16(seg[6:], sum)
	return IPPacket(src.Addr(), dst.Addr(), ProtoUDP, seg)
}

// TCP flags for TCPPacket.
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// TCPPacket is an IP packet with a TCP segment without options.
func TCPPacket(src, dst netip.AddrPort, flags uint8, seq, ack uint32, payload []byte) []byte {
	h := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(h[0:], src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], ack)
	h[12], h[13] = 5<<4, flags
	binary.BigEndian.PutUint16(h[14:], 65535)
	seg := append(h, payload...)
	binary.BigEndian.PutUint16(seg[16:], l4Checksum(src.Addr(), dst.Addr(), ProtoTCP, seg))
	return IPPacket(src.Addr(), dst.Addr(), ProtoTCP, seg)
}

// EchoPacket is an IP packet with an ICMP echo request.
func EchoPacket(src, dst netip.Addr, id, seq uint16, payload []byte) []byte {
	proto := uint8(ProtoICMP)
	h := make([]byte, 8, 8+len(payload))
	h[0] = icmpEcho
	if !is4(dst) {
		proto, h[0] = ProtoICMPv6, icmp6Echo
	}
	binary.BigEndian.PutUint16(h[4:], id)
	binary.BigEndian.PutUint16(h[6:], seq)
	msg := append(h, payload...)
	sum := Checksum(msg)
	if proto == ProtoICMPv6 {
		sum = l4Checksum(src, dst, proto, msg)
	}
	binary.BigEndian.PutUint16(msg[2:], sum)
	return IPPacket(src, dst, proto, msg)
}

// IPPacket puts an IPv4 or IPv6 header before a payload, with a TTL of 64.
func IPPacket(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	if is4(dst) {
		h := make([]byte, 20, 20+len(payload))
		h[0], h[8], h[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
		s, d := src.Unmap().As4(), dst.Unmap().As4()
		copy(h[12:], s[:])
		copy(h[16:], d[:])
		binary.BigEndian.PutUint16(h[10:], Checksum(h))
		return append(h, payload...)
	}
	h := make([]byte, 40, 40+len(payload))
	h[0], h[6], h[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	s, d := src.As16(), dst.As16()
	copy(h[8:], s[:])
	copy(h[24:], d[:])
	return append(h, payload...)
}

// Checksum is the Internet checksum of RFC 1071.
func Checksum(b []byte) uint16 { return ^fold(sum(0, b)) }

// l4Checksum includes the pseudo header.
func l4Checksum(src, dst netip.Addr, proto uint8, segment []byte) uint16 {
	s := sum(0, src.Unmap().AsSlice())
	s = sum(s, dst.Unmap().AsSlice())
	s += uint32(proto) + uint32(len(segment))
	return ^fold(sum(s, segment))
}

func sum(s uint32, b []byte) uint32 {
	for len(b) >= 2 {
		s += uint32(b[0])<<8 | uint32(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// IPInfo is what a filter of captured packets usually looks at.
type IPInfo struct {
	Src, Dst netip.AddrPort // port 0 where there is none
	Proto    uint8
	TTL      uint8
	Flags    uint8  // of TCP
	Payload  []byte // what follows the transport header
}

// ParseIP reads an IP packet; ok is false when it is none or is cut short.
// IPv6 extension headers are not followed.
func ParseIP(p []byte) (info IPInfo, ok bool) {
	var src, dst netip.Addr
	var l4 []byte
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		info.TTL, info.Proto = p[8], p[9]
		src, dst = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
		if l4 = stripIPv4(p); l4 == nil {
			return info, false
		}
	case len(p) >= 40 && p[0]>>4 == 6:
		info.TTL, info.Proto = p[7], p[6]
		src, dst = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
		l4 = p[40:]
	default:
		return info, false
	}
	var sport, dport uint16
	info.Payload = l4
	switch {
	case info.Proto == ProtoTCP && len(l4) >= 20:
		info.Flags = l4[13]
		info.Payload = l4[min(int(l4[12]>>4)*4, len(l4)):]
	case info.Proto == ProtoUDP && len(l4) >= 8:
		info.Payload = l4[8:]
	}
	if (info.Proto == ProtoTCP || info.Proto == ProtoUDP) && len(l4) >= 4 {
		sport, dport = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	}
	info.Src, info.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return info, true
}
