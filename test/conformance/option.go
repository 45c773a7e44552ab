// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"net/netip"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// What vethway does by option, others cannot be asked about: these cases are for it alone.

// openLab has one more container, z1, on a network whose mappings let everybody in.
var openLab = LabConfig{Own: "open", Open: true, Flags: "--inbound-refresh"}

// z1's network.
var (
	openSubnet4, openSubnet6 = netip.MustParsePrefix("172.30.3.0/24"), netip.MustParsePrefix("fd30:3::/64")
	openGateway4             = netip.MustParseAddr("172.30.3.1")
	z1Addr4, z1Addr6         = netip.MustParseAddr("172.30.3.11"), netip.MustParseAddr("fd30:3::11")
)

// addOpen makes that network, and z1.
func (l *Lab) addOpen(ctx context.Context, v *rivals.Vethway) (*netlab.Namespace, error) {
	ns, err := l.Topology.AddContainer("z1")
	if err != nil {
		return nil, err
	}
	yes := true
	_, err = v.Lab().Client.CreateNetwork(ctx, api.NetworkCreate{
		Name: "open", EnableIPv4: &yes, EnableIPv6: &yes,
		IPAM:    api.IPAM{Config: []api.IPAMConfig{{Subnet: openSubnet4, Gateway: openGateway4}, {Subnet: openSubnet6}}},
		Options: map[string]string{api.OptionFiltering: api.FilteringIndependent},
	})
	if err != nil {
		return nil, err
	}
	conn := api.NetworkConnection{Network: "open"}
	conn.IPAMConfig = api.EndpointIPAMConfig{IPv4Address: z1Addr4, IPv6Address: z1Addr6}
	_, err = v.Lab().Client.AttachContainer(ctx, api.ContainerAttach{
		Name: "z1", Namespace: ns.Path(), Networks: []api.NetworkConnection{conn},
	})
	return ns, err
}

// boundLab gives TCP, too, one external port for each internal one; and it has z1.
var boundLab = LabConfig{Own: "bound", Open: true, Flags: "--tcp-mapping=endpoint-independent"}

// optionCases are about mappings and timers by option; quotas are in quotaCases.
func optionCases() []Case {
	short := LabConfig{Own: "short", Flags: "--allow-short-timeouts --udp-timeout=4s --udp-stream-timeout=5s --icmp-timeout=3s" +
		" --tcp-transitory-timeout=6s --tcp-established-timeout=7s --port-rest=0"}
	cases := []Case{
		{ID: "N01", Name: "by option: tcp to several destinations", Option: true, Lab: boundLab, Run: func(t *T) { severalDestinations(t, tcp) }},
		{ID: "N01", Name: "by option: tcp whose port had to be changed", Option: true, Lab: boundLab, Run: func(t *T) { changedPort(t, tcp) }},
		{ID: "N05", Name: "by option: bound tcp lets no stranger in", Option: true, Lab: boundLab, Run: func(t *T) { strangers(t, tcp) }},
		{ID: "N05", Name: "by option: a tcp mapping lets everybody in", Option: true, Lab: boundLab, Run: letsConnect},
		{ID: "N05", Name: "by option: whoever was let in keeps the mapping", Option: true, Lab: openLab, Run: letsInByOthers},
		{ID: "N16", Name: "by option: a bound port of tcp that was closed need not rest", Option: true, Lab: boundLab, Run: noRestWhenClosed},
		{ID: "N03", Name: "by option: other timers", Option: true, Lab: short, Run: otherTimers},
		{ID: "N04", Name: "by option: udp from outside refreshes", Option: true, Lab: openLab, Run: inboundRefreshes},
		{ID: "N05", Name: "by option: a mapping lets everybody in", Option: true, Lab: openLab, Run: letsIn},
		{ID: "N05", Name: "by option: not longer than it lives", Option: true, Lab: openLab, Run: letsInWhileItLives},
		{ID: "N05", Name: "by option: of one network, not of the others", Option: true, Lab: openLab, Run: func(t *T) { strangers(t, udp) }},
		{ID: "N16", Name: "by option: a port need not rest", Option: true, Lab: short, Run: noRest},
	}
	for from, where := range map[string]string{"x2": "the same network", "y1": "another network"} {
		cases = append(cases, Case{
			ID: "N06", Name: "by option: tcp between two mappings, to " + where, Option: true, Lab: boundLab, Run: func(t *T) { hairpinMappedTCP(t, from) },
		})
	}
	return cases
}

// otherTimers need no clock: they are short enough.
func otherTimers(t *T) {
	want := []time.Duration{4, 5, 3, 6, 7} // in the order of lives, seconds
	var all []*Session
	for i, l := range lives() {
		s := l.open(t)
		if left, known := t.Remaining(s); !known || left > want[i]*time.Second || left < (want[i]-2)*time.Second {
			t.Errorf("%s, but %v were asked for: %v are left (known: %v)", l.name, want[i]*time.Second, left, known)
		}
		all = append(all, s)
	}
	time.Sleep(7 * time.Second)
	t.gone(all)
}

func inboundRefreshes(t *T) {
	s := t.Open(udp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	t.Works(s, "new")
	full, _ := t.Remaining(s)
	t.Age(aBit, s)
	payload := t.Tag("in")
	t.Out().Emit(s.InPacket(payload))
	s.Side.Expect("an answer", carrying(payload))
	t.LeftAbout(s, full, "after a packet from outside")
}

// letsIn: a stranger gets in by a mapping, and an answer by the same.
func letsIn(t *T) {
	s := t.Open(udp, t.In("z1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	for _, stranger := range []netip.AddrPort{
		netip.AddrPortFrom(s.Peer.Addr(), 98), netip.AddrPortFrom(t.Peer(), 99), netip.AddrPortFrom(t.Peer(), t.Port()),
	} {
		payload := t.Tag("stranger")
		t.Out().Emit(message(udp, stranger, s.Ext, payload))
		p := s.Side.Expect("a stranger's datagram", carrying(payload))
		if p.Src != stranger || p.Dst != s.In {
			t.Errorf("a stranger's datagram arrives as %v, want it from %s to %s", p, stranger, s.In)
		}
		known := &Session{Kind: udp, Side: s.Side, In: s.In, Ext: s.Ext, Peer: stranger}
		t.Works(known, "with a stranger")
	}
	t.Works(s, "afterwards")
}

func letsInWhileItLives(t *T) {
	s := t.Open(udp, t.In("z1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	left, _ := t.Remaining(s)
	t.Age(left+time.Second, s)
	t.gone([]*Session{s})
	payload := t.Tag("too late")
	t.Out().Emit(message(udp, netip.AddrPortFrom(t.Peer(), 98), s.Ext, payload))
	s.Side.Never("a stranger's datagram after the mapping's end", carrying(payload))
}

// letsInByOthers: a session that somebody else began, and the container answered, keeps the mapping for all.
func letsInByOthers(t *T) {
	s := t.Open(udp, t.In("z1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	letIn := func() *Session {
		other := &Session{Kind: udp, Side: s.Side, In: s.In, Ext: s.Ext, Peer: netip.AddrPortFrom(t.Peer(), 98)}
		payload := t.Tag("stranger")
		t.Out().Emit(other.InPacket(payload))
		s.Side.Expect("a stranger's datagram", carrying(payload))
		t.Works(other, "with a stranger")
		return other
	}
	letIn()
	left, _ := t.Remaining(s)
	t.Age(left+time.Second, s)
	t.gone([]*Session{s})
	// More than one collection has seen that what the container began is over.
	time.Sleep(2 * collectEvery)
	letIn()
}

// letsConnect: a stranger connects to a mapping of TCP.
func letsConnect(t *T) {
	s := t.Open(tcp, t.In("z1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	stranger, seq, answer := netip.AddrPortFrom(t.Peer(), t.Port()), t.Seq(), t.Seq()
	t.Out().Emit(wire.Header{}.TCP(stranger, s.Ext, wire.Segment{Flags: wire.SYN, Seq: seq}))
	s.Side.Expect("a stranger's SYN", numbered(seq, s.In))
	s.Side.Emit(wire.Header{}.TCP(s.In, stranger, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: answer, Ack: seq + 1}))
	t.Out().Expect("SYN and ACK", segment(wire.SYN|wire.ACK, s.Ext, stranger))
	t.Works(&Session{Kind: tcp, Side: s.Side, In: s.In, Ext: s.Ext, Peer: stranger, Seq: answer + 1, PeerSeq: seq + 1}, "with a stranger")
	t.Works(s, "afterwards")
}

// hairpinMappedTCP: two containers connect to each other's external endpoints at once (RFC 5382 REQ-2, REQ-8).
func hairpinMappedTCP(t *T, from string) {
	broker := netip.AddrPortFrom(t.Peer(), 3478)
	a, b := t.Open(tcp, t.In("x1"), t.Port(), broker), t.Open(tcp, t.In(from), t.Port(), broker)
	seqA, seqB := t.Seq(), t.Seq()
	a.Side.Emit(wire.Header{}.TCP(a.In, b.Ext, wire.Segment{Flags: wire.SYN, Seq: seqA})) // opens the door
	b.Side.Emit(wire.Header{}.TCP(b.In, a.Ext, wire.Segment{Flags: wire.SYN, Seq: seqB}))
	if p := a.Side.Expect("the other one's SYN", numbered(seqB, a.In)); p.Src != b.Ext {
		t.Errorf("the SYN comes from %s, want %s", p.Src, b.Ext)
	}
	a.Side.Emit(wire.Header{}.TCP(a.In, b.Ext, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: seqA, Ack: seqB + 1}))
	b.Side.Expect("the other one's SYN and ACK", segment(wire.SYN|wire.ACK, a.Ext, b.In))
	payload := t.Tag("data")
	b.Side.Emit(wire.Header{}.TCP(b.In, a.Ext, wire.Segment{Flags: wire.PSH | wire.ACK, Seq: seqB + 1, Ack: seqA + 1, Payload: payload}))
	t.from(b.Ext, a.Side.Expect("data", carrying(payload)), a.In)
	t.Works(a, "with the broker, afterwards")
	t.Works(b, "with the broker, afterwards")
}

// noRestWhenClosed: TCP that was seen being closed gives its bound port back at once (RFC 6888 REQ-8).
func noRestWhenClosed(t *T) {
	port, peer := t.Port(), netip.AddrPortFrom(t.Peer(), 99)
	s := t.Open(tcp, t.In("x1"), port, peer)
	s.Side.Emit(wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: wire.RST, Seq: s.Seq}))
	t.Out().Expect("RST", func(p *wire.Packet) bool { return p.Flags&wire.RST != 0 && p.Src == s.Ext })
	left, _ := t.Remaining(s)
	t.Age(left+time.Second, s)
	t.gone([]*Session{s})
	time.Sleep(collectEvery)
	if other := t.Open(tcp, t.In("x2"), port, peer); other.Ext != s.Ext {
		t.Errorf("%s gets %s, and not %s, which is free", other.In, other.Ext, s.Ext)
	}
}

// noRest: with a rest of zero another container gets a port as soon as it is free.
func noRest(t *T) {
	port, peer := t.Port(), netip.AddrPortFrom(t.Peer(), 99)
	s := t.Open(udp, t.In("x1"), port, peer)
	left, _ := t.Remaining(s)
	time.Sleep(left)
	t.gone([]*Session{s})
	// The port is given up by the next collection at the latest.
	time.Sleep(collectEvery)
	if other := t.Open(udp, t.In("x2"), port, peer); other.Ext != s.Ext {
		t.Errorf("%s gets %s, and not %s, which is free", other.In, other.Ext, s.Ext)
	}
}
