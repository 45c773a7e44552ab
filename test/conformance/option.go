// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"net/netip"
	"time"

	"github.com/vethway/vethway/control/api"
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

// optionCases are about mappings and timers by option; quotas are in quotaCases.
func optionCases() []Case {
	short := LabConfig{Own: "short", Flags: "--allow-short-timeouts --udp-timeout=4s --udp-stream-timeout=5s --icmp-timeout=3s" +
		" --tcp-transitory-timeout=6s --tcp-established-timeout=7s --port-rest=0"}
	return []Case{
		{ID: "N03", Name: "by option: other timers", Option: true, Lab: short, Run: otherTimers},
		{ID: "N04", Name: "by option: udp from outside refreshes", Option: true, Lab: openLab, Run: inboundRefreshes},
		{ID: "N05", Name: "by option: a mapping lets everybody in", Option: true, Lab: openLab, Run: letsIn},
		{ID: "N05", Name: "by option: not longer than it lives", Option: true, Lab: openLab, Run: letsInWhileItLives},
		{ID: "N05", Name: "by option: of one network, not of the others", Option: true, Lab: openLab, Run: func(t *T) { strangers(t, udp) }},
		{ID: "N16", Name: "by option: a port need not rest", Option: true, Lab: short, Run: noRest},
	}
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
