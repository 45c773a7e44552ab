// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestMasquerade(t *testing.T) {
	behaviour.NeedTool(t, "traceroute")
	modes(t, func(l lab) {
		l.families("D10", func(l lab, a family) {
			for _, from := range []string{"c1", "c2", "d1"} {
				l.sees(l.at(from), port(a.remote, remotePort), "R", a.host)
				l.pings(l.at(from), a.remote)
			}
			streams := held{l: l}
			for _, network := range protocols() {
				streams.add(l.at("c1"), network, port(a.remote, remotePort), netip.AddrPort{})
			}
			streams.unharmed()
			l.keepsPort(a)
			l.traceroute(a)
		})
	})
}

// keepsPort: a source port that is in the pool and free stays.
func (l lab) keepsPort(a family) {
	l.Helper()
	const wanted = 20000
	for _, network := range protocols() {
		first := l.ask(l.at("c1"), network, port(a.remote, remotePort), netlab.WhoAmIOptions{Source: port(a.c1, wanted)})
		if first.Peer != port(a.host, wanted) {
			l.Errorf("%s: R sees %s, want port %d to be kept", network, first.Peer, wanted)
		}
		// It is taken now: a neighbour gets another one.
		second := l.ask(l.at("c2"), network, port(a.remote, remotePort), netlab.WhoAmIOptions{Source: port(a.c2, wanted)})
		if second.Peer.Addr() != a.host || second.Peer.Port() == wanted {
			l.Errorf("%s: R sees %s, which is c1's", network, second.Peer)
		}
	}
}

// When a container goes in the middle of a conversation, nobody else gets its external port for a while.
func TestPortsOfTheGone(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("N16", func(l lab, a family) {
		const wanted = 20007
		name := "gone-" + a.name
		ns := l.attach(name, "one", api.EndpointConfig{})
		streams := map[string]*netlab.Stream{}
		for _, network := range protocols() {
			s := (&held{l: l}).add(ns, network, port(a.remote, remotePort), netip.AddrPortFrom(netip.Addr{}, wanted))
			if peer := s.Seen().Peer; peer != port(a.host, wanted) {
				l.Errorf("%s: R sees %s, want port %d to be kept", network, peer, wanted)
			}
			streams[network] = s
		}
		l.must(l.api.DetachContainer(l.Context(), name))
		for network, s := range streams {
			l.cut(network, s)
			seen := l.ask(l.at("c2"), network, port(a.remote, remotePort), netlab.WhoAmIOptions{Source: port(a.c2, wanted)})
			if seen.Peer.Addr() != a.host || seen.Peer.Port() == wanted {
				l.Errorf("%s: R takes c2 for who is gone: %s", network, seen.Peer)
			}
		}
	})
}

func (l lab) traceroute(a family) {
	l.Helper()
	for _, how := range []string{"", "-I", "-T -p 9000"} {
		flag := "-4"
		if a.host.Is6() {
			flag = "-6"
		}
		out := l.command(l.at("c1"), "traceroute "+flag+" -n -q 1 -w 1 -m 4 "+how+" "+a.remote.String())
		var hops []string
		for _, line := range strings.Split(out, "\n")[1:] {
			if f := strings.Fields(line); len(f) > 1 {
				hops = append(hops, f[1])
			}
		}
		if len(hops) != 2 || hops[0] != a.gateway1.String() || hops[1] != a.remote.String() {
			l.Errorf("traceroute %s: hops %v, want the gateway and R:\n%s", how, hops, out)
		}
	}
}

// Two containers and a host socket, one source port, one destination.
func TestOneSourcePortThrice(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D12", func(l lab, a family) {
		sources := map[string]netip.Addr{"c1": a.c1, "c2": a.c2, "H": a.host}
		for _, tc := range []struct {
			port  uint16
			order []string
		}{
			{40000, []string{"H", "c1", "c2"}},
			{40001, []string{"c1", "c2", "H"}},
			// In the pool: what the host has bound, containers leave alone.
			{20001, []string{"H", "c1", "c2"}},
		} {
			streams := held{l: l}
			for _, network := range protocols() {
				seen := map[netip.AddrPort]string{}
				for _, name := range tc.order {
					s := streams.add(l.at(name), network, port(a.remote, remotePort), port(sources[name], tc.port))
					peer := s.Seen().Peer
					if peer.Addr() != a.host || seen[peer] != "" {
						l.Errorf("%s port %d: R sees %s as %s; %v", network, tc.port, name, peer, seen)
					}
					if name == "H" && peer.Port() != tc.port {
						l.Errorf("%s: the host's own port %d became %d", network, tc.port, peer.Port())
					}
					seen[peer] = name
				}
			}
			streams.unharmed()
		}
	})
}

// A container may use a published number as its source port.
func TestSourcePortThatIsPublished(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D13", func(l lab, a family) {
		streams := held{l: l}
		for _, network := range protocols() {
			for name, own := range map[string]netip.Addr{"c2": a.c2, "d1": a.d1, "c1": a.c1} {
				s := streams.add(l.at(name), network, port(a.remote, remotePort), port(own, publishedPort))
				if peer := s.Seen().Peer; peer.Addr() != a.host {
					l.Errorf("%s: R sees %s", network, peer)
				}
			}
			// Meanwhile the port is its publisher's.
			streams.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
		}
		l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
		// Even from the very address and port that the containers speak with.
		for _, network := range protocols() {
			seen := l.ask(l.at("R"), network, port(a.host, publishedPort), netlab.WhoAmIOptions{Source: port(a.remote, remotePort+1)})
			l.judge(seen, network, "c1", a.remote, port(a.host, publishedPort))
		}
		streams.unharmed()
	})
}

// Services of the host see the container's own address.
func TestHostService(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D11", func(l lab, a family) {
		for _, to := range []netip.Addr{a.host, a.gateway1, a.gateway2} {
			l.seesItself(l.at("c1"), port(to, remotePort), "H")
			l.pings(l.at("c1"), to)
		}
		l.seesItself(l.at("d1"), port(a.gateway2, remotePort), "H")
		l.ends(l.at("c1"), port(a.host, remotePort+1), netlab.Refused)
		streams := held{l: l}
		for _, network := range protocols() {
			streams.add(l.at("c1"), network, port(a.gateway1, remotePort), netip.AddrPort{})
		}
		streams.unharmed()
	})
}

// With masquerade off the container's own address is on the wire, and R has a route back.
func TestMasqueradeOff(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := newHost(t)
	l := newLabOn(t, topo, onlyTwo())
	one := ipv4()
	_, err := l.api.CreateNetwork(l.Context(), api.NetworkCreate{
		Name: "plain", Options: map[string]string{api.OptionMasquerade: "false"},
		IPAM: api.IPAM{Config: []api.IPAMConfig{{Subnet: one.subnet1}, {Subnet: ipv6().subnet1}}},
	})
	l.must(err)
	c1 := l.attach("p1", "plain", api.EndpointConfig{IPAMConfig: api.EndpointIPAMConfig{IPv4Address: one.c1, IPv6Address: ipv6().c1}},
		api.PublishSpec{HostPort: publishedPort, ContainerPort: serverPort})
	l.families("D27", func(l lab, a family) {
		l.must(topo.RouteToContainers(a.subnet1))
		l.seesItself(c1, port(a.remote, remotePort), "R")
		l.pings(c1, a.remote)
		streams := held{l: l}
		for _, network := range protocols() {
			streams.add(c1, network, port(a.remote, remotePort), netip.AddrPort{})
		}
		streams.unharmed()
		// Its published port works as ever, and nothing else of it from outside.
		seen := l.ask(l.at("R"), "tcp", port(a.host, publishedPort), netlab.WhoAmIOptions{})
		l.judge(seen, "tcp", "p1", a.remote, port(a.host, publishedPort))
		l.dropped("from-uplink/direct", 2, func() { l.ends(l.at("R"), port(a.c1, otherPort), netlab.TimesOut) })
		// The other network is masqueraded still.
		l.sees(l.at("d1"), port(a.remote, remotePort), "R", a.host)
	})
}
