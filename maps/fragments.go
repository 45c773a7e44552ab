// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/bpf"
)

// Fragments has the ports of datagrams that come in pieces.
type Fragments = Table[FragmentKey, Fragment]

// FragmentKey is what all fragments of a datagram have in common.
type FragmentKey struct {
	Src, Dst netip.Addr
	ID       uint32 // 16 bits in IPv4
	Proto    uint8
}

// Fragment is what the datagram's first fragment said.
type Fragment struct {
	SrcPort, DstPort uint16
	Detour           bool   // another one came before the first: all of them take the detour
	Seen             uint32 // CLOCK_MONOTONIC seconds
}

// fragmentID is the identifier as a number: it is stored as it is on the wire, two bytes of it in IPv4.
func fragmentID(src bpf.VethwayAddr, id uint32) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], id)
	if fromAddr(src).Is4() {
		return uint32(binary.BigEndian.Uint16(b[:]))
	}
	return binary.BigEndian.Uint32(b[:])
}

func wireFragmentID(src netip.Addr, id uint32) uint32 {
	var b [4]byte
	if src.Is4() {
		binary.BigEndian.PutUint16(b[:], uint16(id))
	} else {
		binary.BigEndian.PutUint32(b[:], id)
	}
	return binary.NativeEndian.Uint32(b[:])
}

func fragmentsWire() wire[FragmentKey, Fragment] {
	return codec[FragmentKey, Fragment, bpf.VethwayFragmentKey, bpf.VethwayFragmentValue]{
		key: func(k FragmentKey) bpf.VethwayFragmentKey {
			return bpf.VethwayFragmentKey{Src: toAddr(k.Src), Dst: toAddr(k.Dst), Id: wireFragmentID(k.Src, k.ID), Proto: k.Proto}
		},
		unkey: func(k bpf.VethwayFragmentKey) FragmentKey {
			return FragmentKey{Src: fromAddr(k.Src), Dst: fromAddr(k.Dst), ID: fragmentID(k.Src, k.Id), Proto: k.Proto}
		},
		value: func(v Fragment) bpf.VethwayFragmentValue {
			w := bpf.VethwayFragmentValue{Sport: toPort(v.SrcPort), Dport: toPort(v.DstPort), Seen: v.Seen}
			if v.Detour {
				w.Detour = 1
			}
			return w
		},
		unvalue: func(v bpf.VethwayFragmentValue) Fragment {
			return Fragment{SrcPort: fromPort(v.Sport), DstPort: fromPort(v.Dport), Detour: v.Detour != 0, Seen: v.Seen}
		},
	}
}

func fragmentRow(now uint32) func(FragmentKey, Fragment) Row {
	return func(k FragmentKey, v Fragment) Row {
		return Row{
			{"proto", ProtocolName(k.Proto)},
			{"src", netip.AddrPortFrom(k.Src, v.SrcPort)},
			{"dst", netip.AddrPortFrom(k.Dst, v.DstPort)},
			{"id", k.ID},
			{"detour", v.Detour},
			{"idle_seconds", Age(now, v.Seen)},
		}
	}
}

// parseFragmentKey reads PROTOCOL SOURCE DESTINATION ID.
func parseFragmentKey(s string) (FragmentKey, error) {
	f := strings.Fields(s)
	if len(f) != 4 {
		return FragmentKey{}, fmt.Errorf("%q: want PROTOCOL SOURCE DESTINATION ID", s)
	}
	at, err := parseOriginKey(strings.Join(f[:3], " "))
	if err != nil {
		return FragmentKey{}, err
	}
	id, err := parseNumber(f[3])
	return FragmentKey{Src: at.Src, Dst: at.Dst, Proto: at.Proto, ID: id}, err
}

// Origins says where fragments on a detour belong.
type Origins = Table[OriginKey, Origin]

// OriginKey is what survives the detour.
type OriginKey struct {
	Src, Dst netip.Addr
	Proto    uint8
}

// Origin is where fragments came from.
type Origin struct {
	Ifindex    uint32
	DMAC, SMAC MAC
}

func originsWire() wire[OriginKey, Origin] {
	return codec[OriginKey, Origin, bpf.VethwayOriginKey, bpf.VethwayOriginValue]{
		key: func(k OriginKey) bpf.VethwayOriginKey {
			return bpf.VethwayOriginKey{Src: toAddr(k.Src), Dst: toAddr(k.Dst), Proto: k.Proto}
		},
		unkey: func(k bpf.VethwayOriginKey) OriginKey {
			return OriginKey{Src: fromAddr(k.Src), Dst: fromAddr(k.Dst), Proto: k.Proto}
		},
		value: func(v Origin) bpf.VethwayOriginValue {
			return bpf.VethwayOriginValue{Ifindex: v.Ifindex, Dmac: v.DMAC, Smac: v.SMAC}
		},
		unvalue: func(v bpf.VethwayOriginValue) Origin { return Origin{Ifindex: v.Ifindex, DMAC: v.Dmac, SMAC: v.Smac} },
	}
}

func originRow(k OriginKey, v Origin) Row {
	return Row{
		{"proto", ProtocolName(k.Proto)},
		{"src", k.Src},
		{"dst", k.Dst},
		{"ifindex", v.Ifindex},
	}
}

// parseOriginKey reads PROTOCOL SOURCE DESTINATION.
func parseOriginKey(s string) (OriginKey, error) {
	f := strings.Fields(s)
	if len(f) != 3 {
		return OriginKey{}, fmt.Errorf("%q: want PROTOCOL SOURCE DESTINATION", s)
	}
	proto, err := parseProtocol(f[0])
	if err != nil {
		return OriginKey{}, err
	}
	src, err := netip.ParseAddr(f[1])
	if err != nil {
		return OriginKey{}, fmt.Errorf("%q: want an address", f[1])
	}
	dst, err := netip.ParseAddr(f[2])
	if err != nil {
		return OriginKey{}, fmt.Errorf("%q: want an address", f[2])
	}
	return OriginKey{Src: src, Dst: dst, Proto: proto}, nil
}
