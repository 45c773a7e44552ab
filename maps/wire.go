// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/vethway/vethway/bpf"
)

// MAC is a link-layer address.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText writes the address the usual way.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// MACOf converts an address of the standard library's; one that is not six bytes long is an error.
func MACOf(a net.HardwareAddr) (MAC, error) {
	var m MAC
	if len(a) != len(m) {
		return m, fmt.Errorf("link-layer address %q: want 6 bytes", a)
	}
	return MAC(a), nil
}

// mappedBits is what an IPv4 prefix is longer by when it is written as an IPv6 one.
const mappedBits = 96

// toAddr writes an IPv4 address as ::ffff:a.b.c.d, and no address as zeros.
func toAddr(a netip.Addr) bpf.VethwayAddr {
	if !a.IsValid() {
		return bpf.VethwayAddr{}
	}
	return bpf.VethwayAddr{B: a.As16()}
}

func fromAddr(a bpf.VethwayAddr) netip.Addr { return netip.AddrFrom16(a.B).Unmap() }

// fromOptional reads fields in which zeros mean that there is no address.
func fromOptional(a bpf.VethwayAddr) netip.Addr {
	if a.B == [16]uint8{} {
		return netip.Addr{}
	}
	return fromAddr(a)
}

// toPort puts a port into network byte order, as a field of the host's.
func toPort(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

func fromPort(p uint16) uint16 { return toPort(p) }

func fromAddrPort(a bpf.VethwayAddr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(fromAddr(a), fromPort(port))
}

// toAddr4 writes an address of IPv4 in network byte order, as a field of the host's, and no address as zeros.
func toAddr4(a netip.Addr) uint32 {
	if a = a.Unmap(); !a.Is4() {
		return 0
	}
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

func fromAddr4(a uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], a)
	return netip.AddrFrom4(b)
}

func fromAddrPort4(a uint32, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(fromAddr4(a), fromPort(port))
}

func toPrefix(p netip.Prefix) bpf.VethwayAddressKey {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += mappedBits
	}
	return bpf.VethwayAddressKey{Prefixlen: uint32(bits), Addr: p.Masked().Addr().As16()}
}

func fromPrefix(k bpf.VethwayAddressKey) netip.Prefix {
	a, bits := netip.AddrFrom16(k.Addr), int(k.Prefixlen)
	// A prefix shorter than ::ffff:0:0/96 covers IPv6 too, so it is not an IPv4 one.
	if a.Is4In6() && bits >= mappedBits {
		a, bits = a.Unmap(), bits-mappedBits
	}
	return netip.PrefixFrom(a, bits)
}
