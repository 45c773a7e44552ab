// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// far is an address behind the remotes, so that the default route leads to it.
func far(a family) netip.Addr {
	if a.host.Is4() {
		return addr("203.0.113.9")
	}
	return addr("2001:db8:9::9")
}

func (l lab) addFar(remote *netlab.Namespace) {
	l.Helper()
	for _, a := range []family{ipv4(), ipv6()} {
		l.must(remote.AddAddr("lo", netip.PrefixFrom(far(a), far(a).BitLen())))
	}
}

// The masquerade address is the preferred source of the route that the packet takes, now.
func TestMasqueradeAddressIsTheRoutes(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.addFar(l.at("R"))
	l.families("D28", func(l lab, a family) {
		toFar := port(far(a), remotePort)
		second := a.second.Addr()
		l.sees(l.at("c1"), toFar, "R", a.host)
		l.must(l.topo.Host.AddAddr("eth0", a.second))
		l.must(l.topo.Host.ReplaceRoute(netlab.Route{Dst: a.any, Via: a.remote, Src: second}))
		l.eventually("the route's preferred source", func() error { return l.reaches(l.at("c1"), "tcp", toFar, "R", second) })
		l.sees(l.at("c1"), toFar, "R", second)
		l.sees(l.at("d1"), toFar, "R", second)
		l.sees(l.at("H"), toFar, "R", second)
		// The other route has the address that the host itself would take.
		other := l.ask(l.at("H"), "tcp", port(a.remote, remotePort), netlab.WhoAmIOptions{}).Peer.Addr()
		l.sees(l.at("c1"), port(a.remote, remotePort), "R", other)
		l.followsAddress(a, toFar)
	})
}

// followsAddress: the address goes; old flows end, new ones take the new address.
func (l lab) followsAddress(a family, toFar netip.AddrPort) {
	l.Helper()
	source := port(a.c1, 7777)
	stays := held{l: l}
	old, err := netlab.OpenStream(l.Context(), l.at("c1"), "tcp", toFar, netlab.StreamConfig{Patience: silence})
	l.must(err)
	if got := l.ask(l.at("c1"), "udp", toFar, netlab.WhoAmIOptions{Source: source}); got.Peer.Addr() != a.second.Addr() {
		l.Errorf("before: %s", got)
	}
	if a.host.Is4() {
		stays.add(l.at("c1"), "tcp", port(a.remote, remotePort), netip.AddrPort{}) // another route, whose address stays
	}
	stays.add(l.at("R"), "tcp", port(a.host, publishedPort), netip.AddrPort{})

	l.must(l.topo.Host.DelAddr("eth0", a.second))
	// With the address, the kernel takes the IPv4 routes that prefer it.
	l.must(l.topo.Host.ReplaceRoute(netlab.Route{Dst: a.any, Via: a.remote}))
	l.eventually("the new address", func() error { return l.reaches(l.at("c1"), "tcp", toFar, "R", a.host) })
	l.cut("a connection by the old address", old)
	// The very socket pair that had the old address.
	l.eventually("the new address for an old source port", func() error {
		seen, err := netlab.WhoAmI(l.Context(), l.at("c1"), "udp", toFar, netlab.WhoAmIOptions{Source: source, Timeout: silence})
		if err == nil && seen.Peer.Addr() != a.host {
			l.Errorf("R sees %s, which is gone", seen.Peer)
		}
		return err
	})
	stays.unharmed()
}

// Two uplinks, and a rule that sends one network's traffic out by the second.
func TestMasqueradeByPolicyRule(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.addFar(l.at("R"))
	uplink, err := l.topo.AddUplink()
	l.must(err)
	l.addFar(uplink.Remote)
	l.serve(uplink.Remote, "R2", remotePort)
	l.families("D28", func(l lab, a family) {
		const table = 100
		toFar := port(far(a), remotePort)
		own, via := uplink.Host4.Addr(), uplink.RemoteAddr4.Addr()
		flag := "-4"
		if a.host.Is6() {
			own, via, flag = uplink.Host6.Addr(), uplink.RemoteAddr6.Addr(), "-6"
		}
		l.sees(l.at("d1"), toFar, "R", a.host)
		old, err := netlab.OpenStream(l.Context(), l.at("d1"), "tcp", toFar, netlab.StreamConfig{Patience: silence})
		l.must(err)
		l.must(l.topo.Host.AddRoute(netlab.Route{Dst: a.any, Via: via, Table: table}))
		l.command(l.at("H"), "ip "+flag+" rule add from "+a.subnet2.String()+" lookup 100")
		l.eventually("the rule", func() error { return l.reaches(l.at("d1"), "tcp", toFar, "R2", own) })
		l.sees(l.at("d1"), toFar, "R2", own)
		l.sees(l.at("c1"), toFar, "R", a.host)
		l.cut("a connection by the first uplink", old)
		streams := held{l: l}
		for _, network := range protocols() {
			streams.add(l.at("d1"), network, toFar, netip.AddrPort{})
			streams.add(l.at("c1"), network, toFar, netip.AddrPort{})
			// Published on every uplink; the answer goes back where the question came from.
			streams.add(uplink.Remote, network, port(own, publishedPort), netip.AddrPort{})
		}
		streams.unharmed()
		old, err = netlab.OpenStream(l.Context(), l.at("d1"), "tcp", toFar, netlab.StreamConfig{Patience: silence})
		l.must(err)
		l.command(l.at("H"), "ip "+flag+" rule del from "+a.subnet2.String()+" lookup 100")
		l.eventually("the rule's end", func() error { return l.reaches(l.at("d1"), "tcp", toFar, "R", a.host) })
		l.cut("a connection by the second uplink", old)
	})
}

// An uplink that appears later is one at once, and its end ends nothing else.
func TestUplinkComesAndGoes(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	for round := range 2 {
		stays := held{l: l}
		stays.add(l.at("R"), "tcp", port(l.topo.Host4, publishedPort), netip.AddrPort{})
		stays.add(l.at("c1"), "udp", port(l.topo.Remote4, remotePort), netip.AddrPort{})
		uplink, err := l.topo.AddUplink()
		l.must(err)
		l.serve(uplink.Remote, "new", remotePort)
		time.Sleep(time.Second)
		l.seesItself(uplink.Remote, port(uplink.Host4.Addr(), publishedPort), "c1")
		l.seesItself(uplink.Remote, port(uplink.Host6.Addr(), publishedPort), "c1")
		l.sees(l.at("c1"), port(uplink.RemoteAddr4.Addr(), remotePort), "new", uplink.Host4.Addr())
		l.sees(l.at("c1"), port(uplink.RemoteAddr6.Addr(), remotePort), "new", uplink.Host6.Addr())
		if round == 0 {
			l.must(l.topo.Host.DeleteLink(uplink.Dev))
		}
		stays.unharmed()
	}
}
