// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/rivals"
)

// N21: no address of a container leaves the host, whatever is sent. Whether the rest arrives, other cases ask.
func leakCases() []Case {
	return []Case{
		{ID: "N21", Name: "segments that belong to nothing", NAT: true, Run: leakSegments},
		{ID: "N21", Name: "protocols 0 to 255", NAT: true, Run: leakProtocols},
		{ID: "N21", Name: "ICMP types 0 to 255", NAT: true, Run: leakMessages},
		{ID: "N21", Name: "fragments, overlapping and tiny ones too", NAT: true, Run: leakFragments},
		{ID: "N21", Name: "packets cut off at every length", NAT: true, Run: leakTruncated},
		{ID: "N21", Name: "IP options and extension headers", NAT: true, Run: leakOptions},
		{ID: "N21", Name: "packets changed at random", NAT: true, Run: leakMutated},
		{ID: "N21", Name: "errors about what never was", NAT: true, Run: leakErrors},
		{ID: "N21", Name: "TTL 0 to 2, and what is too big", NAT: true, Run: leakTTL},
		{ID: "N21", Name: "no external port is left", NAT: true, Lab: smallPool, Run: leakFull},
		{ID: "N21", Name: "what comes after the end of a session", NAT: true, Run: leakClosed},
		{ID: "N21", Name: "while the daemon is killed and started", NAT: true, Lab: LabConfig{Own: "restart"}, Run: leakRestart},
	}
}

// Tight looks through all that has arrived at R. A last packet of a session of its own tells that the rest has come.
func (t *T) Tight(what string) {
	x1, payload := t.In("x1"), t.Tag("the last packet")
	x1.Emit(message(udp, x1.At(t.Port()), netip.AddrPortFrom(t.Peer(), 7), payload))
	t.Out().Try(carrying(payload))
	t.noLeak(what)
}

// noLeak looks through what has arrived at R so far.
func (t *T) noLeak(what string) {
	time.Sleep(20 * time.Millisecond)
	for _, p := range t.Out().Seen() {
		if container(p.Src.Addr()) {
			t.Errorf("%s: a container's address leaves: %v", what, p)
			return
		}
		if q, err := p.Quote(); err == nil && (container(q.Src.Addr()) || container(q.Dst.Addr())) {
			t.Errorf("%s: an error tells of a container's address: %v", what, p)
			return
		}
	}
}

// container tells addresses of container networks.
func container(a netip.Addr) bool {
	return slices.ContainsFunc(spec().Networks, func(n rivals.Network) bool {
		return n.Subnet4.Contains(a) || n.Subnet6.Contains(a)
	})
}

// leakSegments: what conntrack calls invalid, and what nobody asked for.
func leakSegments(t *T) {
	x1, peer := t.In("x1"), netip.AddrPortFrom(t.Peer(), 80)
	live := t.Open(tcp, x1, t.Port(), peer)
	for flags := range 64 {
		from := x1.At(t.Port())
		x1.Emit(wire.Header{}.TCP(from, peer, wire.Segment{Flags: uint8(flags), Seq: t.Seq(), Ack: 77}))
		// Far out of the window of a live session.
		x1.Emit(wire.Header{}.TCP(live.In, peer, wire.Segment{Flags: uint8(flags), Seq: live.Seq + 1<<30, Ack: live.PeerSeq + 1<<30}))
	}
	// RST and FIN of connections that somebody else has forgotten.
	for _, flags := range []uint8{wire.RST, wire.RST | wire.ACK, wire.FIN | wire.ACK} {
		for range 20 {
			x1.Emit(wire.Header{}.TCP(x1.At(t.Port()), peer, wire.Segment{Flags: flags, Seq: t.Seq(), Ack: t.Seq()}))
		}
	}
	t.Tight("odd segments")
}

func leakProtocols(t *T) {
	x1, peer := t.In("x1"), t.Peer()
	for proto := range 256 {
		for _, body := range [][]byte{t.Tag("a protocol of its own"), make([]byte, 64), {1, 2, 3}} {
			x1.Emit(wire.Header{}.Packet(x1.Addr, peer, uint8(proto), body))
		}
	}
	t.Tight("protocols")
}

func leakMessages(t *T) {
	x1, peer := t.In("x1"), t.Peer()
	body := message(udp, x1.At(t.Port()), netip.AddrPortFrom(peer, 53), t.Tag("quoted"))
	for kind := range 256 {
		for _, code := range []uint8{0, 1, 4, 255} {
			x1.Emit(wire.Header{}.ICMP(x1.Addr, peer, wire.Message{Type: uint8(kind), Code: code, Rest: uint32(t.Port()) << 16, Payload: body}))
		}
	}
	t.Tight("ICMP messages")
}

func leakFragments(t *T) {
	x1, peer := t.In("x1"), t.Peer()
	for _, kind := range []string{udp, tcp, ping} {
		whole := message(kind, x1.At(t.Port()), netip.AddrPortFrom(peer, peerPort(kind, 99)), t.large())
		p, err := wire.Parse(whole)
		t.must(err)
		id := uint32(t.Port())
		all := [][]byte{
			wire.Piece(p, p.L4[:8], 0, true, id),                   // tiny
			wire.Piece(p, p.L4[8:16], 8, true, id),                 // the rest of the TCP header (RFC 1858)
			wire.Piece(p, p.L4[:64], 0, true, id+1),                // and then overlapping (RFC 5722)
			wire.Piece(p, p.L4[32:128], 32, false, id+1),           //
			wire.Piece(p, p.L4[1400:2800], 1400, true, id+2),       // without a beginning
			wire.Piece(p, p.L4[2800:], 2800, false, id+3),          //
			wire.Piece(p, p.L4[:1400], 0, true, id+4),              // without an end
			wire.Piece(p, p.L4[:1400], 0, false, id+5),             // atomic (RFC 6946), its length a lie
			wire.Piece(p, p.L4[:1400], 65528-1400&^7, true, id+6),  // beyond 64 KiB
			wire.Piece(p, p.L4[:0], 0, true, id+7),                 // empty
			wire.Piece(p, p.L4[:1400], 0, true, id+8),              // twice the same
			wire.Piece(p, p.L4[:1400], 0, true, id+8),              //
			wire.Piece(p, p.L4[1400:1403], 1400, true, id+9),       // not a multiple of 8
			wire.Piece(p, p.L4[len(p.L4)-8:], 65528, false, id+10), // the last there can be
		}
		t.Lab.nextPort.Add(11)
		x1.Emit(all...)
	}
	t.Tight("fragments")
}

func leakTruncated(t *T) {
	x1, peer := t.In("x1"), t.Peer()
	for _, kind := range []string{udp, tcp, ping} {
		whole := message(kind, x1.At(t.Port()), netip.AddrPortFrom(peer, peerPort(kind, 99)), t.Tag("truncated"))
		for length := 20; length < len(whole); length++ {
			x1.Emit(whole[:length])
			// The same, with a length field that agrees.
			p, err := wire.Parse(whole)
			t.must(err)
			if header := len(whole) - len(p.L4); length >= header {
				x1.Emit(wire.Header{}.Packet(x1.Addr, peer, proto(kind, t.V4()), whole[header:length]))
			}
		}
		// Lengths that lie in the other direction, and header lengths.
		for _, at := range []int{0, 2, 3, 4, 5, 6, len(whole) - 1} {
			for _, v := range []byte{0, 0x44, 0x4f, 0x5f, 0x60, 0xff} {
				bad := slices.Clone(whole)
				bad[at] = v
				x1.Emit(bad)
			}
		}
	}
	t.Tight("cut-off packets")
}

func leakOptions(t *T) {
	x1, peer := t.In("x1"), t.Peer()
	var all []wire.Header
	if t.V4() {
		gateway := t.gateway(0).As4()
		for _, kind := range []byte{7, 0x83, 0x89, 0x44, 0x82, 0x88, 0x94, 0x9e, 0x19, 0xff} {
			all = append(all, wire.Header{Options: append([]byte{kind, 7, 4}, append(gateway[:], 0)...)}, wire.Header{Options: []byte{kind, 0, 0, 0}})
		}
	} else {
		host := t.HostAddr().As16()
		for _, kind := range []uint8{wire.HopByHop, wire.Destination, wire.Routing, 51, 135, 139, 140, 253} {
			for _, body := range [][]byte{{1, 4, 0, 0, 0, 0}, append([]byte{0, 1, 0, 0, 0, 0}, host[:]...), {0xc2, 4, 0, 0, 0xff, 0xff}} {
				all = append(all, wire.Header{Extensions: []wire.Extension{{Type: kind, Body: body}}},
					wire.Header{Extensions: []wire.Extension{{Type: wire.Destination, Body: []byte{1, 4, 0, 0, 0, 0}}, {Type: kind, Body: body}}})
			}
		}
		many := slices.Repeat([]wire.Extension{{Type: wire.Destination, Body: []byte{1, 4, 0, 0, 0, 0}}}, 9)
		all = append(all, wire.Header{Extensions: many})
	}
	for _, h := range all {
		for _, kind := range []string{udp, tcp, ping} {
			x1.Emit(messageWith(h, kind, x1.At(t.Port()), netip.AddrPortFrom(peer, peerPort(kind, 99)), t.Tag("options")))
		}
	}
	t.Tight("options")
}

// leakMutated changes some bytes of what is sound otherwise, in both directions. The same ones every time.
func leakMutated(t *T) {
	const rounds = 400
	x1 := t.In("x1")
	r := rand.New(rand.NewPCG(21, uint64(t.Family)))
	mutate := func(p []byte) []byte {
		for range 1 + r.IntN(4) {
			p[r.IntN(len(p))] = byte(r.Uint32())
		}
		return p[:len(p)-r.IntN(2)*r.IntN(len(p)-20)]
	}
	for _, kind := range []string{udp, tcp, ping} {
		s := t.Open(kind, x1, t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
		about := icmpErrors(t.V4())[2]
		for range rounds {
			about.Payload = s.OutPacket([]byte("quoted"))
			out := [][]byte{s.OutPacket([]byte("mutated")), wire.Header{}.ICMP(s.In.Addr(), s.Peer.Addr(), about)}
			in := [][]byte{s.InPacket([]byte("mutated")), wire.Header{}.ICMP(s.Peer.Addr(), s.Ext.Addr(), about)}
			for i := range out {
				x1.Emit(mutate(out[i]))
				t.Out().Emit(mutate(in[i]))
			}
		}
	}
	t.Tight("changed packets")
}

func leakErrors(t *T) {
	x1, peer := t.In("x1"), t.Peer()
	for _, m := range icmpErrors(t.V4()) {
		for _, kind := range []string{udp, tcp, ping} {
			in, out := x1.At(t.Port()), netip.AddrPortFrom(peer, peerPort(kind, 99))
			m.Payload = message(kind, in, out, t.Tag("never"))
			x1.Emit(wire.Header{}.ICMP(x1.Addr, peer, m))
			m.Payload = message(kind, netip.AddrPortFrom(peer, 99), in, t.Tag("never"))
			x1.Emit(wire.Header{}.ICMP(x1.Addr, peer, m))
			m.Payload = m.Payload[:20]
			x1.Emit(wire.Header{}.ICMP(x1.Addr, peer, m))
		}
	}
	t.Tight("errors")
}

func leakTTL(t *T) {
	x1, peer := t.In("x1"), t.Peer()
	for _, kind := range []string{udp, tcp, ping} {
		s := t.Open(kind, x1, t.Port(), netip.AddrPortFrom(peer, peerPort(kind, 99)))
		for ttl := range uint8(3) {
			for _, from := range []netip.AddrPort{s.In, x1.At(t.Port())} {
				p := messageWith(wire.Header{TTL: 3}, kind, from, s.Peer, t.Tag("ttl"))
				x1.Emit(routed(p, 3-ttl))
			}
		}
		x1.Emit(messageWith(dontFragment, kind, s.In, s.Peer, t.sized(kind, containerMTU)))
	}
	t.Tight("TTLs")
}

// leakClosed: what comes after both FINs, after an RST, and from the wrong side of a session.
func leakClosed(t *T) {
	x1, peer := t.In("x1"), netip.AddrPortFrom(t.Peer(), 80)
	s := t.Open(tcp, x1, t.Port(), peer)
	t.close(s)
	reset := t.Open(tcp, x1, t.Port(), peer)
	t.inward(reset, "RST", wire.Segment{Flags: wire.RST, Seq: reset.PeerSeq})
	for _, s := range []*Session{s, reset} {
		for flags := range 64 {
			x1.Emit(wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: uint8(flags), Seq: s.Seq + 1, Ack: s.PeerSeq + 1}))
		}
	}
	t.Tight("closed sessions")
}

// leakRestart sends new sessions all the while.
func leakRestart(t *T) {
	v, ok := t.Target.(*rivals.Vethway)
	if !ok {
		t.NotApplicable("there is no daemon whose end could matter")
	}
	x1, peer := t.In("x1"), t.Peer()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100000 {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			kind := []string{udp, tcp, ping}[i%3]
			p := message(kind, x1.At(uint16(3000+i%20000)), netip.AddrPortFrom(peer, peerPort(kind, 99)), []byte(fmt.Sprint(i)))
			if x1.Send(p) != nil {
				return
			}
		}
	}()
	err := v.Lab().Kill()
	time.Sleep(50 * time.Millisecond)
	if err == nil {
		err = v.Lab().Restart(t.Context())
	}
	close(stop)
	<-done
	t.must(err)
	t.Tight("restart")
}
