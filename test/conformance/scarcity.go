// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/rivals"
)

// poolFirst and poolLast are the external ports of the lab with a small pool; a target that cannot be told has all.
const poolFirst, poolLast = 20000, 20255

var smallPool = LabConfig{Pool: "20000-20255"}

// exhaust has x2 take all external ports of a kind. Only where the pool is small: others have 64,512 for each peer.
func (t *T) exhaust(kind string) netip.AddrPort {
	if _, ok := t.Target.(*rivals.Vethway); !ok {
		t.NotApplicable("its pool is all ports above 1023, which Docker gives no means to narrow")
	}
	x2, peer := t.In("x2"), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	for port := poolFirst; port <= poolLast; port++ {
		from := x2.At(uint16(port))
		if kind == tcp {
			x2.Emit(wire.Header{}.TCP(from, peer, wire.Segment{Flags: wire.SYN, Seq: t.Seq()}))
		} else {
			x2.Emit(message(kind, from, peer, t.Tag("taken")))
		}
	}
	return peer
}

// leakFull asks for ports when none is left.
func leakFull(t *T) {
	x1 := t.In("x1")
	for _, kind := range []string{udp, tcp, ping} {
		peer := t.exhaust(kind)
		for range 300 {
			p := message(kind, x1.At(t.Port()), peer, t.Tag("one too many"))
			if kind == tcp {
				p = wire.Header{}.TCP(x1.At(t.Port()), peer, wire.Segment{Flags: wire.SYN, Seq: t.Seq()})
			}
			x1.Emit(p)
		}
	}
	t.Tight("no port is left")
}
