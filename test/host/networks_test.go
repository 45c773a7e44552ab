// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func (l lab) connect(network, container string, cfg api.EndpointConfig) {
	l.Helper()
	l.must(l.api.ConnectNetwork(l.Context(), network, api.NetworkConnect{Container: container, EndpointConfig: cfg}))
}

func (l lab) disconnect(network, container string) {
	l.Helper()
	l.must(l.api.DisconnectNetwork(l.Context(), network, api.NetworkDisconnect{Container: container}))
}

// defaultRoute wants a container's default route to lead through a gateway; an invalid one means that there is none.
func (l lab) defaultRoute(container string, a family, gateway netip.Addr) {
	l.Helper()
	flag := "-4"
	if a.host.Is6() {
		flag = "-6"
	}
	out := l.command(l.at(container), "ip "+flag+" route show default")
	var via string
	if _, err := fmt.Sscanf(out, "default via %s ", &via); err != nil && gateway.IsValid() {
		l.Errorf("%s has no default route, want one by %s: %q", container, gateway, out)
		return
	}
	if !gateway.IsValid() && via != "" || gateway.IsValid() && via != gateway.String() {
		l.Errorf("default route of %s leads by %q, want %s", container, via, gateway)
	}
}

// c1 is on network one, and joins and leaves network two under traffic.
func TestConnectAndDisconnectLive(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	inTwo := map[string]netip.Addr{behaviour.IPv4: addr("172.30.2.9"), behaviour.IPv6: addr("fd30:2::9")}
	cfg := func(priority int) api.EndpointConfig {
		return api.EndpointConfig{
			GwPriority: priority,
			IPAMConfig: api.EndpointIPAMConfig{IPv4Address: inTwo[behaviour.IPv4], IPv6Address: inTwo[behaviour.IPv6]},
		}
	}
	l.families("D22", func(l lab, a family) {
		own := inTwo[a.name]
		stays := held{l: l}
		for _, network := range protocols() {
			stays.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
			stays.add(l.at("c2"), network, port(a.c1, otherPort), netip.AddrPort{})
		}
		l.ends(l.at("d1"), port(own, otherPort), netlab.TimesOut) // nobody is there: not even an answer from the bridge
		l.connect("two", "c1", cfg(0))
		l.seesItself(l.at("d1"), port(own, otherPort), "c1")
		l.sees(l.at("c1"), port(a.d1, otherPort), "d1", own)
		l.ends(l.at("d1"), port(a.c1, otherPort), netlab.TimesOut) // by the other network still not
		l.seesItself(l.at("c2"), port(a.c1, otherPort), "c1")
		l.defaultRoute("c1", a, a.gateway1)
		l.sees(l.at("c1"), port(a.remote, remotePort), "R", a.host)
		stays.unharmed()

		goes := map[string]*netlab.Stream{}
		for _, network := range protocols() {
			s, err := netlab.OpenStream(l.Context(), l.at("d1"), network, port(own, otherPort), netlab.StreamConfig{Patience: silence})
			l.must(err)
			goes[network+" from d1"] = s
			stays.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
		}
		l.disconnect("two", "c1")
		for what, s := range goes {
			l.cut(what, s)
		}
		l.defaultRoute("c1", a, a.gateway1)
		stays.unharmed()
	})
	l.run("default route and published port move", func(l lab) {
		l.connect("two", "c1", cfg(10))
		for _, a := range []family{ipv4(), ipv6()} {
			l.defaultRoute("c1", a, a.gateway2)
			l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
			l.localIs(a, inTwo[a.name])
			l.sees(l.at("c1"), port(a.remote, remotePort), "R", a.host)
			l.seesItself(l.at("d1"), port(a.host, publishedPort), "c1")
			// A neighbour on the network that the port does not lead to would be answered directly: the container sees a gateway.
			for _, to := range []netip.Addr{a.host, a.gateway1, a.gateway2} {
				l.sees(l.at("c2"), port(to, publishedPort), "c1", a.gateway2)
				l.sees(l.at("c1"), port(to, publishedPort), "c1", a.gateway2)
			}
			l.sees(l.at("H"), port(a.loopback, publishedPort), "c1", a.gateway2)
		}
		l.disconnect("one", "c1")
		for _, a := range []family{ipv4(), ipv6()} {
			l.defaultRoute("c1", a, a.gateway2)
			l.localIs(a, inTwo[a.name])
			l.sees(l.at("c1"), port(a.remote, remotePort), "R", a.host)
			l.ends(l.at("c2"), port(a.c1, otherPort), netlab.TimesOut)
		}
		l.connect("one", "c1", api.EndpointConfig{
			GwPriority: 20, IPAMConfig: api.EndpointIPAMConfig{IPv4Address: ipv4().c1, IPv6Address: ipv6().c1},
		})
		l.disconnect("two", "c1")
		for _, a := range []family{ipv4(), ipv6()} {
			l.defaultRoute("c1", a, a.gateway1)
			l.localIs(a, a.c1)
			l.seesItself(l.at("c2"), port(a.c1, otherPort), "c1")
		}
	})
	l.run("off every network", func(l lab) {
		l.disconnect("one", "c1")
		for _, a := range []family{ipv4(), ipv6()} {
			l.defaultRoute("c1", a, netip.Addr{})
			for _, network := range protocols() {
				if got := netlab.Try(l.Context(), l.at("R"), network, port(a.host, publishedPort), silence); got == netlab.OK {
					l.Errorf("the published port of a container without network answers over %s", network)
				}
			}
		}
	})
}

// localIs wants the published port to lead to that address of the container.
func (l lab) localIs(a family, want netip.Addr) {
	l.Helper()
	for _, network := range protocols() {
		seen := l.ask(l.at("R"), network, port(a.host, publishedPort), netlab.WhoAmIOptions{})
		if seen.Local.Addr() != want {
			l.Errorf("%s to the published port arrived at %s, want %s", network, seen.Local, want)
		}
	}
}

// An internal network leads nowhere.
func TestInternalNetwork(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	_, err := l.api.CreateNetwork(l.Context(), api.NetworkCreate{
		Name: "inside", Internal: true,
		IPAM: api.IPAM{Config: []api.IPAMConfig{{Subnet: prefix("172.30.3.0/24")}, {Subnet: prefix("fd30:3::/64")}}},
	})
	l.must(err)
	const p = 8091
	i1 := l.attach("i1", "inside", api.EndpointConfig{
		IPAMConfig: api.EndpointIPAMConfig{IPv4Address: addr("172.30.3.2"), IPv6Address: addr("fd30:3::2")},
	}, both(api.PublishSpec{HostPort: p, ContainerPort: serverPort})...)
	i2 := l.attach("i2", "inside", api.EndpointConfig{
		IPAMConfig: api.EndpointIPAMConfig{IPv4Address: addr("172.30.3.3"), IPv6Address: addr("fd30:3::3")},
	})
	l.families("D23", func(l lab, a family) {
		own, gateway, subnet := addr("172.30.3.2"), addr("172.30.3.1"), prefix("172.30.3.0/24")
		if a.host.Is6() {
			own, gateway, subnet = addr("fd30:3::2"), addr("fd30:3::1"), prefix("fd30:3::/64")
		}
		l.seesItself(i2, port(own, serverPort), "i1")
		l.seesItself(i1, port(gateway, remotePort), "H")
		l.pings(i1, gateway)
		l.sees(l.at("H"), port(own, serverPort), "i1", gateway)
		// Its published port does nothing.
		for _, from := range []string{"R", "c1"} {
			l.ends(l.at(from), port(a.host, p), netlab.Refused)
		}
		l.ends(l.at("H"), port(a.host, p), netlab.Refused)
		l.ends(l.at("H"), port(a.loopback, p), netlab.Refused)
		// No way out, by route or by force.
		l.ends(i1, port(a.remote, remotePort), netlab.Unreachable)
		for _, dst := range []netip.Prefix{prefix("192.0.2.0/24"), prefix("2001:db8::/32"), a.subnet1} {
			if dst.Addr().Is4() == a.host.Is4() {
				l.must(i1.AddRoute(netlab.Route{Dst: dst, Via: gateway}))
			}
		}
		l.dropped("from-container/internal", 3, func() {
			l.ends(i1, port(a.remote, remotePort), netlab.TimesOut)
			l.noPing(i1, a.remote)
		})
		l.dropped("from-container/internal", 2, func() { l.ends(i1, port(a.host, remotePort), netlab.TimesOut) })
		l.dropped("from-container/internal", 2, func() { l.ends(i1, port(a.host, publishedPort), netlab.TimesOut) })
		l.dropped("from-container/isolated", 2, func() { l.ends(i1, port(a.c1, serverPort), netlab.TimesOut) })
		// And none in.
		l.dropped("from-container/isolated", 2, func() { l.ends(l.at("c1"), port(own, serverPort), netlab.TimesOut) })
		l.must(l.topo.RouteToContainers(subnet))
		l.dropped("from-uplink/direct", 3, func() {
			l.ends(l.at("R"), port(own, serverPort), netlab.TimesOut)
			l.noPing(l.at("R"), own)
		})
	})
}
