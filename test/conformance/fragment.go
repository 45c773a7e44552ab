// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
)

// N10: fragments, in whatever order, in both directions (RFC 4787 REQ-14, RFC 5508 section 4.1).
func fragmentCases() []Case {
	var all []Case
	for _, order := range orders() {
		for _, kind := range []string{udp, ping} {
			all = append(all,
				Case{ID: "N10", Name: fmt.Sprintf("%s out, %s", kind, order.name), Run: func(t *T) { fragmentsOut(t, kind, order) }},
				Case{ID: "N10", Name: fmt.Sprintf("%s answer, %s", kind, order.name), Run: func(t *T) { fragmentsBack(t, kind, order) }},
			)
		}
		all = append(all, Case{ID: "N10", Name: "udp to a published port, " + order.name, Run: func(t *T) { fragmentsIn(t, order) }})
	}
	return append(all,
		Case{ID: "N10", Name: "sockets, 4000 bytes over udp", Run: func(t *T) { largeDatagrams(t, 4000) }},
		Case{ID: "N10", Name: "sockets, 60000 bytes over udp", Run: func(t *T) { largeDatagrams(t, 60000) }},
		Case{ID: "N10", Name: "sockets, ping of 20000 bytes", Run: largePing},
		Case{ID: "N10", Name: "first fragments without end are bounded", Lab: LabConfig{Own: "fragments"}, Run: func(t *T) {
			t.fragmentFlood()
			t.boundedFragments()
		}},
		Case{ID: "N10", Name: "one container's fragments do not stop another's", Lab: LabConfig{Own: "fragments"}, Run: fragmentsAfterFlood},
	)
}

// order is one in which three fragments are sent.
type order struct {
	name    string
	indices []int
}

func orders() []order {
	return []order{
		{"in order", []int{0, 1, 2}},
		{"last first", []int{2, 1, 0}},
		{"middle first", []int{1, 0, 2}},
	}
}

// pieces cuts a packet in three, and puts them in order.
func (t *T) pieces(packet []byte, o order) [][]byte {
	all := wire.Split(packet, 1400, uint32(t.Port()))
	var sorted [][]byte
	for _, i := range o.indices {
		sorted = append(sorted, all[i])
	}
	return sorted
}

// large is a payload of three fragments.
func (t *T) large() []byte {
	return append(t.Tag("large"), bytes.Repeat([]byte("0123456789abcdef"), 240)...)
}

// Whole waits until fragments, or a whole packet, with this payload have arrived, and returns what they make.
func (s *Side) Whole(what string, to netip.Addr, payload []byte) *wire.Packet {
	deadline := time.Now().Add(s.t.patience)
	for ; time.Now().Before(deadline) && s.t.ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		parts := map[uint32][]wire.Packet{}
		for _, p := range s.Seen() {
			if p.Dst.Addr() != to {
				continue
			}
			if carrying(payload)(&p) && !p.Fragmented {
				return &p
			}
			if p.Fragmented {
				parts[p.ID] = append(parts[p.ID], p)
			}
		}
		for _, all := range parts {
			if p, err := wire.Join(all); err == nil && carrying(payload)(&p) {
				if err := p.CheckSums(); err != nil {
					s.t.Errorf("%s arrives at %s in fragments, but %v: %v", what, s.Name, err, p)
				}
				return &p
			}
		}
	}
	s.t.Fatalf("%s does not arrive complete at %s%s", what, s.Name, s.arrived())
	return nil
}

func fragmentsOut(t *T, kind string, o order) {
	x1, peer := t.In("x1"), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	fresh, payload := x1.At(t.Port()), t.large()
	x1.Emit(t.pieces(message(kind, fresh, peer, payload), o)...)
	p := t.Out().Whole("what begins a session", peer.Addr(), payload)
	if t.Lab.Name != Router && p.Src.Addr() != t.HostAddr() {
		t.Errorf("the fragments come from %s", p.Src)
	}
	s := t.Open(kind, x1, t.Port(), peer)
	payload = t.large()
	x1.Emit(t.pieces(s.OutPacket(payload), o)...)
	if p = t.Out().Whole("what belongs to a session", peer.Addr(), payload); p.Src != s.Ext {
		t.Errorf("the fragments come from %s, the rest of the session from %s", p.Src, s.Ext)
	}
}

func fragmentsBack(t *T, kind string, o order) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	payload := t.large()
	t.Out().Emit(t.pieces(s.InPacket(payload), o)...)
	p := s.Side.Whole("the answer", s.In.Addr(), payload)
	if p.Src != s.Peer || p.Dst != s.In {
		t.Errorf("the answer is %v, want it from %s to %s", p, s.Peer, s.In)
	}
}

func fragmentsIn(t *T, o order) {
	x1, peer := t.In("x1"), netip.AddrPortFrom(t.Peer(), t.Port())
	for _, what := range []string{"what begins a session", "what belongs to a session"} {
		payload := t.large()
		t.Out().Emit(t.pieces(message(udp, peer, t.publishedAt(udp), payload), o)...)
		p := x1.Whole(what, x1.Addr, payload)
		if p.Src != peer || p.Dst != x1.At(portX1) {
			t.Errorf("%s is %v, want it from %s to %s", what, p, peer, x1.At(portX1))
		}
	}
	payload := t.large()
	x1.Emit(t.pieces(message(udp, x1.At(portX1), peer, payload), o)...)
	if p := t.Out().Whole("the answer", peer.Addr(), payload); p.Src != t.publishedAt(udp) {
		t.Errorf("the answer comes from %s, want %s", p.Src, t.publishedAt(udp))
	}
}

// largeDatagrams has servers echo.
func largeDatagrams(t *T, size int) {
	for _, way := range []struct {
		what string
		from *netlab.Namespace
		to   netip.AddrPort
	}{
		{"from c1 to R and back", t.Target.Container("c1"), t.RemoteServer()},
		{"from R to c1's published port and back", t.Topology.Remote, t.ContainerServer(udp)},
	} {
		if err := t.echo(way.from, way.to, bytes.Repeat([]byte("a large one "), size/12)); err != nil {
			t.Errorf("%d bytes %s: %v", size, way.what, err)
		}
	}
}

// echo wants a datagram back.
func (t *T) echo(ns *netlab.Namespace, to netip.AddrPort, data []byte) error {
	c, err := ns.Dial(t.Context(), udp, to)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(t.patience)); err != nil {
		return err
	}
	if _, err := c.Write(data); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	n, err := c.Read(buf)
	if err != nil {
		return err
	}
	if !bytes.Equal(buf[:n], data) {
		return fmt.Errorf("%d bytes came back, not the %d that were sent", n, len(data))
	}
	return nil
}

func largePing(t *T) {
	_, err := netlab.Ping(t.Context(), t.Target.Container("c1"), t.RemoteServer().Addr(), netlab.PingOptions{ID: t.Port(), Size: 20000, Timeout: t.patience})
	t.must(err)
}

// fragmentFlood sends beginnings of datagrams in both directions, more than a host has room for.
func (t *T) fragmentFlood() {
	const floods = 1500
	x2, peer := t.In("x2"), netip.AddrPortFrom(t.Peer(), 99)
	for i := range floods {
		out := message(udp, x2.At(t.Port()), peer, t.large())
		x2.Emit(wire.Split(out, 1400, uint32(1e6+i))[0])
		in := message(udp, netip.AddrPortFrom(peer.Addr(), uint16(10000+i)), t.publishedAt(udp), t.large())
		t.Out().Emit(wire.Split(in, 1400, uint32(2e6+i))[0])
	}
}

func fragmentsAfterFlood(t *T) {
	t.fragmentFlood()
	x1, peer, payload := t.In("x1"), netip.AddrPortFrom(t.Peer(), 99), t.large()
	x1.Emit(t.pieces(message(udp, x1.At(t.Port()), peer, payload), orders()[0])...)
	t.Out().Whole("a complete datagram after the flood", peer.Addr(), payload)
}

// boundedFragments reads how much memory the host's reassembly holds.
func (t *T) boundedFragments() {
	file, limit := "sockstat6", "net.ipv6.ip6frag_high_thresh"
	if t.V4() {
		file, limit = "sockstat", "net.ipv4.ipfrag_high_thresh"
	}
	text, err := t.Topology.Host.ProcNet(file)
	t.must(err)
	most, err := t.Topology.Host.Sysctl(limit)
	t.must(err)
	allowed, err := strconv.Atoi(most)
	t.must(err)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if i := slices.Index(f, "memory"); strings.HasPrefix(line, "FRAG") && i > 0 {
			held, err := strconv.Atoi(f[i+1])
			t.must(err)
			if held > allowed+1<<20 {
				t.Errorf("reassembly holds %d bytes, %s is %d", held, limit, allowed)
			}
		}
	}
}
