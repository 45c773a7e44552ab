// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	tcp  = unix.IPPROTO_TCP
	udp  = unix.IPPROTO_UDP
	icmp = unix.IPPROTO_ICMP
	icm6 = unix.IPPROTO_ICMPV6
	sctp = unix.IPPROTO_SCTP

	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
	ethLen    = 14

	fin, syn, rst, ack = 0x01, 0x02, 0x04, 0x10
)

type mac [6]byte

// header is an IPv6 extension header without its first two bytes, which are
// filled in. Its length is a multiple of 8, less 2.
type header struct {
	proto byte
	body  []byte
}

// packet says what a packet looks like; bytes makes it, with right lengths and
// checksums. IPv6 or IPv4 is decided by the source.
type packet struct {
	srcMAC, dstMAC mac
	bare           bool // no Ethernet header
	src, dst       netip.Addr
	ttl, tos       byte
	id, frag       uint16   // IPv4; frag: flags and offset
	options        []byte   // IPv4
	headers        []header // IPv6
	proto          byte

	sport, dport uint16 // of an ICMP echo: sport is the identifier
	flags        byte   // TCP
	tcpOptions   []byte
	noSum        bool // UDP without a checksum
	kind, code   byte // ICMP
	rest         [4]byte
	payload      []byte
	big          bool // beyond 64 KiB the kernel writes a length of 0
	padding      int  // behind the IP packet, as short frames have it
}

// with is p but for what change does to it.
func (p packet) with(change func(*packet)) packet {
	change(&p)
	return p
}

func (p packet) v6() bool { return p.src.Is6() }

func (p packet) bytes() []byte {
	ip := p.ipv4
	etherType := uint16(etherIPv4)
	if p.v6() {
		ip, etherType = p.ipv6, etherIPv6
	}
	b := ip(p.transport())
	if p.bare {
		return b
	}
	return slices.Concat(ethernet(p.dstMAC, p.srcMAC, etherType), b, make([]byte, p.padding))
}

func ethernet(dst, src mac, etherType uint16) []byte {
	return binary.BigEndian.AppendUint16(slices.Concat(dst[:], src[:]), etherType)
}

func (p packet) ipv4(body []byte) []byte {
	h := make([]byte, 20, 60)
	h[0] = 0x40 | byte(5+len(p.options)/4)
	h[1] = p.tos
	if !p.big {
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(p.options)+len(body)))
	}
	binary.BigEndian.PutUint16(h[4:], p.id)
	binary.BigEndian.PutUint16(h[6:], p.frag)
	h[8], h[9] = p.ttl, p.proto
	copy(h[12:], p.src.AsSlice())
	copy(h[16:], p.dst.AsSlice())
	h = append(h, p.options...)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, body...)
}

func (p packet) ipv6(body []byte) []byte {
	h := make([]byte, 40)
	h[0], h[1] = 0x60|p.tos>>4, p.tos<<4
	h[6], h[7] = p.proto, p.ttl
	copy(h[8:], p.src.AsSlice())
	copy(h[24:], p.dst.AsSlice())
	next := 6 // where the type of the next header is told
	for _, ext := range p.headers {
		h[next] = ext.proto
		next = len(h)
		h = append(h, p.proto, byte((len(ext.body)+2)/8-1))
		h = append(h, ext.body...)
	}
	h = append(h, body...)
	if !p.big {
		binary.BigEndian.PutUint16(h[4:], uint16(len(h)-40))
	}
	return h
}

func (p packet) transport() []byte {
	switch p.proto {
	case tcp:
		h := make([]byte, 20)
		p.ports(h)
		binary.BigEndian.PutUint32(h[4:], 0x01020304)
		binary.BigEndian.PutUint32(h[8:], 0x05060708)
		h[12], h[13] = byte(5+len(p.tcpOptions)/4)<<4, p.flags
		binary.BigEndian.PutUint16(h[14:], 0x4000)
		h = slices.Concat(h, p.tcpOptions, p.payload)
		binary.BigEndian.PutUint16(h[16:], checksum(p.pseudo(len(h)), h))
		return h
	case udp:
		h := make([]byte, 8)
		p.ports(h)
		binary.BigEndian.PutUint16(h[4:], uint16(8+len(p.payload)))
		h = append(h, p.payload...)
		check := checksum(p.pseudo(len(h)), h)
		if check == 0 {
			check = 0xffff // zero means none (RFC 768)
		}
		if !p.noSum {
			binary.BigEndian.PutUint16(h[6:], check)
		}
		return h
	case icmp, icm6:
		return p.icmp()
	case sctp:
		h := make([]byte, 12, 12+len(p.payload))
		p.ports(h)
		binary.BigEndian.PutUint32(h[4:], 0x0a0b0c0d)
		h = append(h, p.payload...)
		putCRC(h)
		return h
	}
	return p.payload
}

func (p packet) ports(h []byte) {
	binary.BigEndian.PutUint16(h, p.sport)
	binary.BigEndian.PutUint16(h[2:], p.dport)
}

func (p packet) icmp() []byte {
	h := slices.Concat([]byte{p.kind, p.code, 0, 0}, p.rest[:], p.payload)
	if p.echo() {
		binary.BigEndian.PutUint16(h[4:], p.sport|p.dport)
	}
	check := checksum(h)
	if p.proto == icm6 {
		check = checksum(p.pseudo(len(h)), h)
	}
	binary.BigEndian.PutUint16(h[2:], check)
	return h
}

// echo tells whether a packet is a ping or its answer.
func (p packet) echo() bool {
	return p.proto == icmp && (p.kind == 8 || p.kind == 0) || p.proto == icm6 && (p.kind == 128 || p.kind == 129)
}

func (p packet) pseudo(length int) []byte { return pseudoHeader(p.src, p.dst, p.proto, length) }

// answer is what the receiver of a packet sends back.
func (p packet) answer() packet {
	p.src, p.dst, p.sport, p.dport = p.dst, p.src, p.dport, p.sport
	p.srcMAC, p.dstMAC = p.dstMAC, p.srcMAC
	p.ttl = 64
	switch {
	case p.proto == tcp && p.flags == syn:
		p.flags = syn | ack
	case p.echo():
		p.kind = map[byte]byte{8: 0, 0: 8, 128: 129, 129: 128}[p.kind]
	}
	return p
}

// quote is an ICMP error about p that from sends to p's sender, quoting the
// first n bytes of p; 0: all.
func (p packet) quote(from netip.Addr, kind, code byte, n int) packet {
	p.bare = true
	b := p.bytes()
	if n > 0 {
		b = b[:min(n, len(b))]
	}
	e := packet{src: from, dst: p.src, ttl: 64, proto: icmp, kind: kind, code: code, payload: b}
	if from.Is6() {
		e.proto = icm6
	}
	return e
}
