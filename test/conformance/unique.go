// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N02: two containers never share an external tuple (RFC 4787 REQ-3, RFC 5382 REQ-7).
func uniqueCases() []Case {
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all, Case{
			ID: "N02", Name: kind + " from one port of three containers at once", NAT: true,
			Run: func(t *T) { sameTuples(t, kind) },
		})
	}
	return append(all, Case{ID: "N02", Name: "tcp, twice the ports of one peer", NAT: true, Run: reuseTowardsTwo})
}

// sameTuples has three containers, each on a thread of its own, send from the same ports to the same peer.
func sameTuples(t *T, kind string) {
	const ports = 500
	peer := netip.AddrPortFrom(t.Peer(), peerPort(kind, t.Port()))
	first := t.Port()
	t.Lab.nextPort.Add(ports)
	owner := func(name string, i int) string { return fmt.Sprintf("%s %d for %s", name, i, peer) }
	var senders sync.WaitGroup
	for _, name := range deaf() {
		side := t.In(name)
		senders.Go(func() {
			for i := range ports {
				from := side.At(first + uint16(i))
				p := message(kind, from, peer, []byte(owner(name, i)))
				if kind == tcp {
					p = wire.Header{}.TCP(from, peer, wire.Segment{Flags: wire.SYN, Seq: 7, Payload: []byte(owner(name, i))})
				}
				if err := side.Send(p); err != nil {
					return // the packet is missing at R then
				}
			}
		})
	}
	senders.Wait()
	got := t.Out().ExpectN(ports*len(deaf()), kind+" from three containers", func(p *wire.Packet) bool {
		return p.Dst == peer && len(p.Payload) > 0
	})
	owners := map[netip.AddrPort]string{}
	for _, p := range got {
		if other, taken := owners[p.Src]; taken && other != string(p.Payload) {
			t.Fatalf("%s is both %s and %s", p.Src, other, p.Payload)
		}
		owners[p.Src] = string(p.Payload)
		if p.Src.Addr() != t.HostAddr() {
			t.Fatalf("%s leaves as %s", p.Payload, p.Src)
		}
	}
	t.answerEach(kind, peer, got)
}

// answerEach answers some of what arrived at R, and each answer must reach the one who asked.
func (t *T) answerEach(kind string, peer netip.AddrPort, got []wire.Packet) {
	for i := 0; i < len(got); i += 97 {
		asked := got[i]
		payload := append([]byte("answer to "), asked.Payload...)
		answer := message(kind, peer, asked.Src, payload)
		if kind == tcp {
			answer = wire.Header{}.TCP(peer, asked.Src, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: 1, Ack: asked.Seq + 1, Payload: payload})
		}
		t.Out().Emit(answer)
		name := string(asked.Payload[:2])
		t.In(name).Expect(fmt.Sprintf("the answer to %s", asked.Payload), carrying(payload))
		for _, other := range deaf() {
			if other != name {
				t.none(t.In(other), payload)
			}
		}
	}
}

// none looks at what has arrived already.
func (t *T) none(side *Side, payload []byte) {
	for _, p := range side.Seen() {
		if carrying(payload)(&p) {
			t.Errorf("%q arrives at %s too", payload, side.Name)
		}
	}
}

// reuseTowardsTwo: external tuples include the peer; two containers on one port to one peer, and each with a second peer.
func reuseTowardsTwo(t *T) {
	port, peers := t.Port(), t.peers(tcp, 2)
	var all []*Session
	for _, name := range []string{"x1", "y1"} {
		for _, peer := range peers {
			all = append(all, t.Open(tcp, t.In(name), port, peer))
		}
	}
	seen := map[[2]netip.AddrPort]netip.AddrPort{}
	for _, s := range all {
		tuple := [2]netip.AddrPort{s.Ext, s.Peer}
		if other, taken := seen[tuple]; taken {
			t.Errorf("%s and %s are both %s to %s", other, s.In, s.Ext, s.Peer)
		}
		seen[tuple] = s.In
		t.Works(s, "with all four open")
	}
}
