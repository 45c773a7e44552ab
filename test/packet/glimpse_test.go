// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// glimpse is what a guard sees of a packet.
type glimpse struct {
	src, dst     netip.Addr
	proto, flags byte
	sport, dport uint16
	plain        bool // TCP or UDP, right behind the IP header, whose header is there
	discovery    bool // neighbour or router discovery
}

// look takes a glimpse at an IP packet; false: there is nothing that a guard may mind.
func look(b []byte, etherType uint16) (g glimpse, ok bool) {
	at := 20
	switch {
	case etherType == etherIPv4 && len(b) >= 20 && b[0]>>4 == 4:
		g.src, g.dst, g.proto = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[9]
		if b[0]&15 != 5 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return g, true
		}
	case etherType == etherIPv6 && len(b) >= 40 && b[0]>>4 == 6:
		g.src, g.dst, g.proto = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[6]
		g.discovery = g.proto == icm6 && b[7] == 255 && len(b) > 40 && b[40] >= 133 && b[40] <= 136
		if g.src.Is4In6() {
			return g, false
		}
		at = 40
	default:
		return g, false
	}
	l4 := b[at:]
	if g.proto == tcp && len(l4) >= 20 {
		g.plain, g.flags = true, l4[13]
	}
	if g.proto == udp && len(l4) >= 8 {
		g.plain = true
	}
	if g.plain {
		g.sport, g.dport = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	}
	return g, true
}

// expect says why a guard is to drop a packet; zero: it is not. Where the packet begins a flow to a published port, the source's pace
// decides.
func (a *arena) expect(how byte, g glimpse) (why reason, paced bool, err error) {
	if how&howDenied != 0 && !g.discovery && slices.ContainsFunc(deniedSources, func(p netip.Prefix) bool { return p.Contains(g.src) }) {
		return bpf.VethwayDropReasonDROP_DENIED, false, nil
	}
	// What is in a session that we carry has somebody whom it is for.
	if !g.plain || g.proto == tcp && g.flags&(syn|ack|rst|fin) != syn || !a.isHost(g.dst) || g.proto == udp && a.hasFlow(g) {
		return 0, false, nil
	}
	var use, sessions uint32
	index := maps.PortIndex(g.proto, g.dport)
	if err := errors.Join(a.PortUse.Lookup(index, &use), a.PortFlows.Lookup(index, &sessions)); err != nil {
		return 0, false, err
	}
	switch {
	case use&portPublished != 0:
		return 0, how&howPaced != 0, nil
	case how&howClosed == 0 || g.dport < closedFirst || g.dport > closedLast || use != 0 || sessions != 0 || a.hasFlow(g):
	case g.dport == map[byte]uint16{tcp: hostPortTCP, udp: hostPortUDP}[g.proto] || g.proto == udp && a.isBound(g):
	default:
		return bpf.VethwayDropReasonDROP_CLOSED_PORT, false, nil
	}
	return 0, false, nil
}

// isHost tells whether an address is the host's, and no gateway's.
func (w *world) isHost(dst netip.Addr) bool {
	dst = dst.Unmap()
	for _, u := range w.uplinks {
		if dst == u.host4 || dst == u.host6 {
			return true
		}
	}
	return slices.ContainsFunc(w.networks, func(n *network) bool { return dst == n.snat4 || dst == n.snat6 })
}

func (w *world) hasFlow(g glimpse) bool {
	var v flowValue
	return w.Flows.Lookup(key(packet{src: g.src, dst: g.dst, proto: g.proto, sport: g.sport, dport: g.dport}), &v) == nil
}

// isBound tells whether a packet is for a container's mapping, to which whoever likes may send where the network lets them.
func (w *world) isBound(g glimpse) bool {
	var v bpf.VethwayBindingValue
	var now uint32
	k := bpf.VethwayBindingKey{Addr: toAddr(g.dst), Port: wire(g.dport), Proto: g.proto}
	return w.Bindings.Lookup(k, &v) == nil && w.Generations.Lookup(v.Slot, &now) == nil && now == v.Generation
}
