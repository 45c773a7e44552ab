// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// fill does what the daemon does.
func (w *world) fill(t testing.TB) {
	t.Helper()
	for _, n := range w.networks {
		w.fillNetwork(t, n)
	}
	for _, c := range w.containers {
		w.fillContainer(t, c)
	}
	for _, u := range w.uplinks {
		w.fillUplink(t, u)
	}
	w.address(t, "127.0.0.0/8", bpf.VethwayAddressKindADDRESS_LOCAL, 0)
	w.address(t, "::1/128", bpf.VethwayAddressKindADDRESS_LOCAL, 0)
	w.setGeneration(t, slotRoutes, 1)
	w.setGeneration(t, slotHost, generation)
}

func (w *world) fillNetwork(t testing.TB, n *network) {
	t.Helper()
	check(t, w.Networks.Put(uint32(n.id), bpf.VethwayNetworkValue{
		Gateway4: toAddr(n.gateway4), Gateway6: toAddr(n.gateway6), Snat4: toAddr(n.snat4), Snat6: toAddr(n.snat6),
		Bridge: n.ifindex, Flags: n.flags, Mtu: 1500, BridgeMac: n.mac,
	}))
	for _, p := range []netip.Prefix{n.subnet4, n.subnet6} {
		w.address(t, p.String(), bpf.VethwayAddressKindADDRESS_SUBNET, n.id)
	}
	for _, a := range []netip.Addr{n.gateway4, n.gateway6, n.snat4, n.snat6} {
		if a.IsValid() {
			id, kind := n.id, uint32(shortcutGateway)
			if a == n.snat4 || a == n.snat6 {
				id, kind = 0, shortcutHost
			}
			w.shortcut(t, a, bpf.VethwayShortcutValue{Addr: toAddr(a), Kind: kind, Network: id})
			w.address(t, netip.PrefixFrom(a, a.BitLen()).String(), bpf.VethwayAddressKindADDRESS_LOCAL, id)
		}
	}
}

func (w *world) fillContainer(t testing.TB, c *container) {
	t.Helper()
	w.setGeneration(t, c.slot, generation)
	for _, a := range []netip.Addr{c.addr4, c.addr6} {
		check(t, w.Endpoints.Put(toAddr(a), bpf.VethwayEndpointValue{
			Ifindex: c.ifindex, Slot: c.slot, Generation: generation, Network: c.network.id, Mtu: 1500,
			Mac: c.mac, BridgeMac: c.network.mac,
		}))
		w.shortcut(t, a, w.shortcutTo(c.name, a))
	}
	check(t, w.Veths.Put(c.ifindex, bpf.VethwayVethValue{
		Addr4: toAddr(c.addr4), Addr6: toAddr(c.addr6), Slot: c.slot, Generation: generation,
		Bridge: c.network.ifindex, Network: c.network.id, Mtu: 1500, Mac: c.mac, BridgeMac: c.network.mac, Flags: c.network.flags,
	}))
}

func (w *world) fillUplink(t testing.TB, u *uplink) {
	t.Helper()
	check(t, w.Uplinks.Put(u.ifindex, bpf.VethwayUplinkValue{Addr4: toAddr(u.host4), Addr6: toAddr(u.host6), Mtu: 1500}))
	for _, a := range []netip.Addr{u.host4, u.host6} {
		w.address(t, netip.PrefixFrom(a, a.BitLen()).String(), bpf.VethwayAddressKindADDRESS_LOCAL, 0)
		w.shortcut(t, a, bpf.VethwayShortcutValue{Addr: toAddr(a), Kind: shortcutHost})
	}
}

func (w *world) address(t testing.TB, prefix string, kind bpf.VethwayAddressKind, id uint16) {
	t.Helper()
	check(t, w.Addresses.Put(prefixKey(netip.MustParsePrefix(prefix)), bpf.VethwayAddressValue{Kind: kind, Network: uint32(id)}))
}

// prefixKey is the key of a prefix in a map that is searched by the longest one.
func prefixKey(p netip.Prefix) bpf.VethwayAddressKey {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return bpf.VethwayAddressKey{Prefixlen: uint32(bits), Addr: p.Masked().Addr().As16()}
}

func (w *world) setGeneration(t testing.TB, slot, value uint32) {
	t.Helper()
	check(t, w.Generations.Put(slot, value))
}

// toAddr writes an IPv4 address as ::ffff:a.b.c.d, and no address as zeros.
func toAddr(a netip.Addr) bpf.VethwayAddr {
	if !a.IsValid() {
		return bpf.VethwayAddr{}
	}
	return bpf.VethwayAddr{B: a.As16()}
}

// wire puts a port into network byte order, as a field of the host's.
func wire(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

func fromAddr(a bpf.VethwayAddr) netip.Addr { return netip.AddrFrom16(a.B).Unmap() }
