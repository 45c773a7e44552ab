// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/test/netlab"
)

func TestNeighboursReachEachOther(t *testing.T) {
	modes(t, func(l lab) {
		for _, p := range []uint16{1, 5353, 65535} {
			l.serve(l.at("c1"), "c1", p)
			l.serve(l.at("c2"), "c2", p)
		}
		l.families("D07", func(l lab, a family) {
			l.untouched(func() {
				for _, p := range []uint16{1, serverPort, otherPort, 5353, 65535} {
					l.seesItself(l.at("c2"), port(a.c1, p), "c1")
					l.seesItself(l.at("c1"), port(a.c2, p), "c2")
				}
				l.pings(l.at("c2"), a.c1)
				l.pings(l.at("c1"), a.c2)
				// A datagram in fragments.
				if _, err := netlab.Ping(l.Context(), l.at("c1"), a.c2, netlab.PingOptions{ID: 5, Size: 4000}); err != nil {
					l.Error(err)
				}
				streams := held{l: l}
				for _, network := range protocols() {
					streams.add(l.at("c2"), network, port(a.c1, otherPort), netip.AddrPort{})
					streams.add(l.at("c1"), network, port(a.c2, otherPort), netip.AddrPort{})
				}
				streams.unharmed()
			})
		})
	})
}
