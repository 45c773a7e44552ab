// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Split fragments a packet without IPv4 options and extension headers into pieces of at most size bytes of payload, a
// multiple of 8.
func Split(packet []byte, size int, id uint32) [][]byte {
	p, err := Parse(packet)
	if err != nil {
		return nil
	}
	l4 := p.L4
	var all [][]byte
	for at := 0; at < len(l4); at += size {
		end := min(at+size, len(l4))
		all = append(all, Piece(p, l4[at:end], at, end < len(l4), id))
	}
	return all
}

// Piece is one fragment of a packet.
func Piece(p Packet, body []byte, offset int, more bool, id uint32) []byte {
	h := Header{TTL: p.TTL, TOS: p.TOS, FlowLabel: p.FlowLabel, ID: uint16(id)}
	if p.V4 {
		b := h.Packet(p.Src.Addr(), p.Dst.Addr(), p.Proto, body)
		at := uint16(offset / 8)
		if more {
			at |= 0x2000
		}
		binary.BigEndian.PutUint16(b[6:], at)
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
		return b
	}
	at := uint16(offset)
	if more {
		at |= 1
	}
	f := []byte{p.Proto, 0, byte(at >> 8), byte(at)}
	f = binary.BigEndian.AppendUint32(f, id)
	return h.Packet(p.Src.Addr(), p.Dst.Addr(), Fragment, append(f, body...))
}

// Join puts the fragments of one packet together again, in whatever order they are, and takes the whole apart.
func Join(pieces []Packet) (Packet, error) {
	if len(pieces) == 0 {
		return Packet{}, errors.New("no fragments")
	}
	sorted := slices.Clone(pieces)
	slices.SortStableFunc(sorted, func(a, b Packet) int { return a.Offset - b.Offset })
	var l4 []byte
	first := sorted[0]
	for i, p := range sorted {
		if p.Offset != len(l4) {
			return Packet{}, fmt.Errorf("a fragment at %d where one at %d is missing", p.Offset, len(l4))
		}
		if p.ID != first.ID || p.Src.Addr() != first.Src.Addr() || p.Dst.Addr() != first.Dst.Addr() {
			return Packet{}, fmt.Errorf("fragments of different packets: %v and %v", first, p)
		}
		if last := i == len(sorted)-1; p.More == last {
			return Packet{}, fmt.Errorf("the fragment at %d says more=%v", p.Offset, p.More)
		}
		l4 = append(l4, p.L4...)
	}
	h := Header{TTL: first.TTL, TOS: first.TOS, ID: uint16(first.ID), FlowLabel: first.FlowLabel}
	return Parse(h.Packet(first.Src.Addr(), first.Dst.Addr(), first.Proto, l4))
}
