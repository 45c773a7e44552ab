// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
)

// The MTU of the uplink in two labs: narrower and wider than the containers' 1500.
const narrowMTU, wideMTU, containerMTU = 1400, 9000, 1500

// hopLimit is what packets leave with.
const hopLimit = 64

// N09: path MTU discovery works through the NAT (RFC 4787 REQ-13, RFC 1191, RFC 8201).
func mtuCases() []Case {
	narrow, wide := LabConfig{UplinkMTU: narrowMTU}, LabConfig{UplinkMTU: wideMTU}
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all,
			Case{ID: "N09", Name: kind + " too big for the uplink", Lab: narrow, Run: func(t *T) { tooBigOut(t, kind) }},
			Case{ID: "N09", Name: kind + " answer too big for the container", Lab: wide, Run: func(t *T) { tooBigBack(t, kind) }},
		)
	}
	for _, kind := range []string{udp, ping} {
		all = append(all,
			Case{ID: "N09", Name: kind + " too big for the uplink without DF is fragmented", Lab: narrow, Run: func(t *T) { fragmentedOut(t, kind) }},
			Case{ID: "N09", Name: kind + " too big for the container without DF is fragmented", Lab: wide, Run: func(t *T) { fragmentedIn(t, kind) }},
			Case{ID: "N09", Name: kind + " fragments too big for the container are cut up", Lab: wide, Run: func(t *T) { fragmentsCut(t, kind) }},
		)
	}
	return append(all,
		Case{ID: "N09", Name: "udp to a published port, too big for the container", Lab: wide, Run: tooBigIn},
		Case{ID: "N09", Name: "sockets, 1 MB out over the narrow uplink", Lab: narrow, Run: func(t *T) { transfers(t, 1<<20) }},
		Case{ID: "N09", Name: "sockets, 1 MB over the wide uplink", Lab: wide, Run: func(t *T) { transfers(t, 1<<20) }},
	)
}

// sized is a payload that makes an IP packet of so many bytes.
func (t *T) sized(kind string, size int) []byte {
	header := 40
	if t.V4() {
		header = 20
	}
	if kind == tcp {
		header += 20
	} else {
		header += 8
	}
	tag := t.Tag("sized")
	return append(tag, bytes.Repeat([]byte{'x'}, size-header-len(tag))...)
}

// tooBig wants the error that says so.
func (t *T) tooBig(side *Side, kind string, src netip.AddrPort, from netip.Addr, mtu uint32, sent []byte) {
	side.Emit(sent)
	p := side.Try(func(p *wire.Packet) bool {
		q, err := p.Quote()
		want := map[bool][2]uint8{true: {3, 4}, false: {2, 0}}[p.V4]
		return err == nil && p.Type == want[0] && p.Code == want[1] && q.Proto == proto(kind, p.V4) && q.Src == src
	})
	if p == nil {
		t.Fatalf("%d bytes of %s: no packet too big arrives at %s%s", len(sent), kind, side.Name, side.arrived())
	}
	if p.Rest != mtu {
		t.Errorf("packet too big tells an MTU of %d, want %d", p.Rest, mtu)
	}
	if p.Src.Addr() != from {
		t.Errorf("packet too big comes from %s, want %s", p.Src.Addr(), from)
	}
	if err := p.CheckSums(); err != nil {
		t.Errorf("packet too big: %v", err)
	}
	t.quotesPart("packet too big", p, sent)
}

// quotesPart wants at least the IP header and 8 bytes of what was sent, and nothing else.
func (t *T) quotesPart(what string, p *wire.Packet, sent []byte) {
	q, err := wire.Parse(sent)
	t.must(err)
	if least := len(sent) - len(q.L4) + 8; len(p.Payload) < least {
		t.Errorf("%s quotes %d bytes, want at least %d", what, len(p.Payload), least)
	}
	t.sameQuote(what, p, sent[:min(len(sent), len(p.Payload))])
}

var dontFragment = wire.Header{DF: true}

func tooBigOut(t *T, kind string) {
	x1, peer := t.In("x1"), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	s := t.Open(kind, x1, t.Port(), peer)
	t.tooBig(x1, kind, s.In, t.gateway(0), narrowMTU, t.like(s, dontFragment, t.sized(kind, containerMTU)))
	if kind != tcp {
		fresh := x1.At(t.Port())
		t.tooBig(x1, kind, fresh, t.gateway(0), narrowMTU, messageWith(dontFragment, kind, fresh, peer, t.sized(kind, containerMTU)))
	}
	// What fits goes through.
	s = t.Open(kind, x1, t.Port(), peer)
	payload := t.sized(kind, narrowMTU)
	x1.Emit(t.like(s, dontFragment, payload))
	t.Out().Expect(fmt.Sprintf("%d bytes of %s", narrowMTU, kind), carrying(payload))
}

func tooBigBack(t *T, kind string) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	sent := t.likeIn(s, dontFragment, t.sized(kind, 4000))
	src := s.Peer
	t.tooBig(t.Out(), kind, src, t.HostAddr(), containerMTU, sent)
	s = t.Open(kind, t.In("x1"), t.Port(), s.Peer)
	payload := t.sized(kind, containerMTU)
	t.Out().Emit(t.likeIn(s, dontFragment, payload))
	s.Side.Expect(fmt.Sprintf("%d bytes of %s", containerMTU, kind), carrying(payload))
}

func tooBigIn(t *T) {
	peer := netip.AddrPortFrom(t.Peer(), t.Port())
	for range 2 {
		t.tooBig(t.Out(), udp, peer, t.HostAddr(), containerMTU, messageWith(dontFragment, udp, peer, t.publishedAt(udp), t.sized(udp, 4000)))
		t.Out().Reset()
	}
}

func (t *T) only4() {
	if !t.V4() {
		t.NotApplicable("IPv6 routers do not fragment")
	}
}

func fragmentedOut(t *T, kind string) {
	t.only4()
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	payload := t.sized(kind, containerMTU)
	s.Side.Emit(t.like(s, wire.Header{ID: 77}, payload))
	if p := t.Out().Whole("a datagram without DF", s.Peer.Addr(), payload); p.Src != s.Ext {
		t.Errorf("it comes from %s, want %s", p.Src, s.Ext)
	}
}

func fragmentedIn(t *T, kind string) {
	t.only4()
	x1 := t.In("x1")
	if kind == udp {
		payload := t.sized(kind, 4000)
		t.Out().Emit(messageWith(wire.Header{ID: 78}, kind, netip.AddrPortFrom(t.Peer(), t.Port()), t.publishedAt(kind), payload))
		t.cut(x1.Whole("a datagram without DF", x1.Addr, payload), x1)
	}
	s := t.Open(kind, x1, t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	payload := t.sized(kind, 4000)
	t.Out().Emit(t.likeIn(s, wire.Header{ID: 79}, payload))
	t.cut(x1.Whole("an answer without DF", x1.Addr, payload), x1)
}

// fragmentsCut: fragments may themselves be too big, some or all of them, in whatever order they come.
func fragmentsCut(t *T, kind string) {
	t.only4()
	x1 := t.In("x1")
	for i, o := range orders() {
		s := t.Open(kind, x1, t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
		payload := t.sized(kind, 9500)
		packet, id := t.likeIn(s, wire.Header{}, payload), uint32(500+i)
		pieces := wire.Split(packet, 4400, id)
		for _, j := range o.indices {
			t.Out().Emit(pieces[j])
		}
		t.cut(x1.Whole("an answer in large fragments, "+o.name, x1.Addr, payload), x1)
		x1.Reset()
	}
}

// cut wants what arrived to be no larger than the network allows, a hop older than it left, and otherwise as it was.
func (t *T) cut(whole *wire.Packet, side *Side) {
	for _, p := range side.Seen() {
		if p.Dst.Addr() == whole.Dst.Addr() && p.Fragmented && len(p.Bytes) > containerMTU {
			t.Errorf("a fragment of %d bytes arrives at %s", len(p.Bytes), side.Name)
		}
	}
	if whole.TTL != hopLimit-1 {
		t.Errorf("TTL is %d, want one hop less than %d", whole.TTL, hopLimit)
	}
}

// transfers moves data over TCP, c1 to R and R to c1's published port, both ways.
func transfers(t *T, size int) {
	if err := t.echoes(t.Target.Container("c1"), t.RemoteServer(), size); err != nil {
		t.Errorf("c1 to R and back: %v", err)
	}
	if err := t.echoes(t.Topology.Remote, t.ContainerServer(tcp), size); err != nil {
		t.Errorf("R to c1 and back: %v", err)
	}
}

// echoes sends data over TCP to a server that echoes it, and compares.
func (t *T) echoes(from *netlab.Namespace, to netip.AddrPort, size int) error {
	c, err := from.Dial(t.Context(), tcp, to)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "echo\n"); err != nil {
		return err
	}
	data := bytes.Repeat([]byte("0123456789 segment me "), size/22)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- err
	}()
	back := make([]byte, len(data))
	if n, err := io.ReadFull(c, back); err != nil {
		return fmt.Errorf("%d of %d bytes came back: %w", n, len(data), err)
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("what came back is not what was sent")
	}
	return <-sent
}
