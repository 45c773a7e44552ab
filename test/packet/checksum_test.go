// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
)

// checksum is the Internet checksum (RFC 1071), from scratch.
func checksum(parts ...[]byte) uint16 { return ^sum(parts...) }

func sum(parts ...[]byte) uint16 {
	var s uint32
	for _, p := range parts {
		for ; len(p) > 1; p = p[2:] {
			s += uint32(binary.BigEndian.Uint16(p))
		}
		if len(p) == 1 {
			s += uint32(p[0]) << 8
		}
		s = s&0xffff + s>>16
	}
	return uint16(s + s>>16)
}

func pseudoHeader(src, dst netip.Addr, proto byte, length int) []byte {
	h := slices.Concat(src.AsSlice(), dst.AsSlice())
	if src.Is4() {
		return append(h, 0, proto, byte(length>>8), byte(length))
	}
	return append(h, 0, 0, byte(length>>8), byte(length), 0, 0, 0, proto)
}

// putCRC fills in the checksum of an SCTP packet, which covers no address (RFC
// 9260 appendix A).
func putCRC(b []byte) []byte {
	clear(b[8:12])
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

var (
	errCut = errors.New("cut off")
	// errBlind: nothing can be said of the transport's checksum.
	errBlind = errors.New("a fragment, or a protocol without a checksum that we know")
)

// layers is an IP packet taken apart as its headers say.
type layers struct {
	src, dst netip.Addr
	proto    byte
	frag     bool
	head     []byte // IPv4 header with its options, IPv6 fixed header
	body     []byte // transport header and payload
	whole    bool   // nothing of the body is missing
}

// dissect reads an IP packet, leniently: only what cannot be read is an error.
func dissect(b []byte) (layers, error) {
	if len(b) < 1 {
		return layers{}, errCut
	}
	if b[0]>>4 == 6 {
		return dissect6(b)
	}
	var l layers
	hlen := int(b[0]&15) * 4
	if b[0]>>4 != 4 || hlen < 20 || len(b) < hlen {
		return l, errCut
	}
	l.head = b[:hlen]
	l.src, l.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	l.proto = b[9]
	l.frag = binary.BigEndian.Uint16(b[6:])&0x3fff != 0
	return l, l.cut(b, hlen, int(binary.BigEndian.Uint16(b[2:])))
}

func dissect6(b []byte) (layers, error) {
	var l layers
	if len(b) < 40 {
		return l, errCut
	}
	l.head = b[:40]
	l.src, l.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	l.proto = b[6]
	at := 40
	for l.proto == 0 || l.proto == 60 {
		if len(b) < at+8 {
			return l, errCut
		}
		l.proto = b[at]
		at += 8 + int(b[at+1])*8
	}
	if l.proto == 44 {
		l.frag = true
	}
	return l, l.cut(b, at, 40+int(binary.BigEndian.Uint16(b[4:])))
}

// cut sets the body: from at to end, or to where the packet ends before.
func (l *layers) cut(b []byte, at, end int) error {
	if at > end || at > len(b) {
		return errCut
	}
	l.whole = end <= len(b)
	l.body = b[at:min(end, len(b))]
	return nil
}

// verify checks every checksum of an IP packet, and those of the packet that an
// ICMP error quotes.
func verify(b []byte) error {
	l, err := dissect(b)
	if err != nil {
		return err
	}
	if err := l.verify(); err != nil {
		return err
	}
	if !isError(l) {
		return nil
	}
	quoted, err := dissect(l.body[8:])
	if err != nil {
		return fmt.Errorf("quoted packet: %w", err)
	}
	if err := quoted.verify(); err != nil {
		return fmt.Errorf("quoted packet: %w", err)
	}
	return nil
}

func isError(l layers) bool {
	if l.frag || len(l.body) < 8 {
		return false
	}
	kind := l.body[0]
	return l.proto == icmp && (kind == 3 || kind == 11 || kind == 12) || l.proto == icm6 && kind >= 1 && kind <= 4
}

func (l layers) verify() error {
	if l.src.Is4() && sum(l.head) != 0xffff {
		return fmt.Errorf("IPv4 header checksum of % x", l.head)
	}
	if !l.whole {
		return nil
	}
	switch err := l.verifyTransport(); {
	case errors.Is(err, errBlind):
		return nil
	default:
		return err
	}
}

func (l layers) verifyTransport() error {
	if l.frag {
		return errBlind
	}
	pseudo := pseudoHeader(l.src, l.dst, l.proto, len(l.body))
	switch {
	case l.proto == sctp && len(l.body) >= 12:
		if got := slices.Clone(l.body); !slices.Equal(putCRC(got), l.body) {
			return fmt.Errorf("CRC32c of SCTP from %s to %s", l.src, l.dst)
		}
		return nil
	case l.proto == tcp:
	case l.proto == udp && len(l.body) >= 8:
		if l.body[6]|l.body[7] == 0 {
			if l.src.Is4() {
				return errBlind // none was sent (RFC 768)
			}
			return errors.New("UDP over IPv6 without a checksum")
		}
	case l.proto == icm6 && l.src.Is6():
	case l.proto == icmp && l.src.Is4():
		pseudo = nil
	default:
		return errBlind
	}
	// Zero: every byte is, the checksum too, which then means the same as 0xffff.
	if got := sum(pseudo, l.body); got != 0xffff && got != 0 {
		return fmt.Errorf("checksum of protocol %d from %s to %s: sums up to %#x", l.proto, l.src, l.dst, got)
	}
	return nil
}
