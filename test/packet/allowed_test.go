// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// isHairpin tells whether a packet between networks belongs to the one port of
// the one container that is published, or is an error about such a packet.
func (w *world) isHairpin(frame []byte) bool {
	src, dst, _ := addresses(frame)
	l, err := dissect(withLength(frame[ethLen:]))
	if err == nil && isError(l) {
		return true // judged by what it quotes in TestICMPError
	}
	c1 := w.containers["c1"]
	if err != nil || len(l.body) < 8 {
		return false
	}
	port := binary.BigEndian.Uint16(l.body)
	if dst == c1.addr4 || dst == c1.addr6 {
		port = binary.BigEndian.Uint16(l.body[2:])
		return port == 80 || l.proto == sctp && port == sctpPort
	}
	if w.networkOf(src) != nil {
		return false
	}
	return port == 8080 || l.proto == sctp && port == sctpPort || l.proto != tcp && w.isMapped(l)
}

// withLength fills in the length that a GSO packet beyond 64 KiB need not say.
func withLength(b []byte) []byte {
	at, less := 2, 0
	if len(b) > 0 && b[0]>>4 == 6 {
		at, less = 4, 40
	}
	if len(b) < 40 || b[at]|b[at+1] != 0 {
		return b
	}
	b = slices.Clone(b)
	put(b[at:], uint16(len(b)-less))
	return b
}

// isMapped tells whether a packet is for a container's mapping: whether its
// receiver has an external endpoint.
func (w *world) isMapped(l layers) bool {
	k := bpf.VethwayBindingKey{Addr: toAddr(l.dst), Proto: l.proto, Inside: 1, Port: binary.NativeEndian.Uint16(l.body[2:])}
	if l.proto != udp {
		k.Port = binary.NativeEndian.Uint16(l.body[4:])
	}
	hosts := []netip.Addr{preferred4, preferred6}
	for _, u := range w.uplinks {
		hosts = append(hosts, u.host4, u.host6)
	}
	for _, n := range w.networks {
		hosts = append(hosts, n.snat4, n.snat6)
	}
	return slices.ContainsFunc(hosts, func(host netip.Addr) bool {
		k.Ext = toAddr(host)
		var v bpf.VethwayBindingValue
		return w.Bindings.Lookup(k, &v) == nil
	})
}

// hasStackFlow tells whether the stack carries the session of a packet that it
// forwards to a container.
func (w *world) hasStackFlow(frame []byte) bool {
	l, err := dissect(withLength(frame[ethLen:]))
	if err != nil || len(l.body) < 8 {
		return false
	}
	k := flowKey{Src: toAddr(l.dst), Dst: toAddr(l.src), Proto: l.proto}
	switch l.proto {
	case tcp, udp:
		k.Sport, k.Dport = binary.NativeEndian.Uint16(l.body[2:]), binary.NativeEndian.Uint16(l.body)
	default:
		k.Sport = binary.NativeEndian.Uint16(l.body[4:])
	}
	var v flowValue
	return w.Flows.Lookup(k, &v) == nil && v.Flags&uint8(maps.FlowByStack) != 0
}
