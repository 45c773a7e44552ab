// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// published is a published port, tcp and udp. No address: any, in both families.
type published struct {
	addr       string
	port       uint16
	target     string
	targetPort uint16
}

// publish returns the slot of the port.
func (w *world) publish(t testing.TB, p published) uint32 {
	t.Helper()
	w.slots++
	slot := 200 + w.slots
	w.setGeneration(t, slot, generation)
	c := w.containers[p.target]
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	targets := map[netip.Addr]netip.Addr{any4: c.addr4, any6: c.addr6}
	if p.addr != "" {
		a := netip.MustParseAddr(p.addr)
		targets = map[netip.Addr]netip.Addr{a: c.addr6}
		if a.Is4() {
			targets[a] = c.addr4
		}
	}
	for _, proto := range []byte{tcp, udp} {
		for a, target := range targets {
			check(t, w.Published.Put(bpf.VethwayPublishedKey{Addr: toAddr(a), Port: wire(p.port), Proto: proto},
				bpf.VethwayPublishedValue{Target: toAddr(target), Port: wire(p.targetPort), Slot: slot, Generation: generation}))
		}
		w.usePort(t, proto, p.port, portPublished)
	}
	return slot
}

// sctpPort is c1's published SCTP port.
const sctpPort = 9899

// publishSCTP publishes it at every address of the host.
func (w *world) publishSCTP(t testing.TB) {
	t.Helper()
	w.slots++
	slot := 200 + w.slots
	w.setGeneration(t, slot, generation)
	c := w.containers["c1"]
	for any, target := range map[netip.Addr]netip.Addr{netip.IPv4Unspecified(): c.addr4, netip.IPv6Unspecified(): c.addr6} {
		check(t, w.Published.Put(bpf.VethwayPublishedKey{Addr: toAddr(any), Port: wire(sctpPort), Proto: sctp},
			bpf.VethwayPublishedValue{Target: toAddr(target), Port: wire(sctpPort), Slot: slot, Generation: generation}))
	}
	w.usePort(t, sctp, sctpPort, portPublished)
}

// usePort marks a port of a protocol as published or bound by the host.
func (w *world) usePort(t testing.TB, proto byte, port uint16, use uint32) {
	t.Helper()
	table := map[byte]uint32{tcp: 0, udp: 1}
	index, ok := table[proto]
	if !ok {
		index = 2
	}
	index = index<<16 | uint32(port)
	w.used = append(w.used, index)
	check(t, w.PortUse.Put(index, use))
}
