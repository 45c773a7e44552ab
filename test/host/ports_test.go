// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// Published on one address, a port answers there and nowhere else.
func TestPublishedOnOneAddress(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D15", func(l lab, a family) {
		const p = 8085
		second := a.second.Addr()
		l.must(l.topo.Host.AddAddr("eth0", a.second))
		l.publish("c1", both(api.PublishSpec{HostIP: second, HostPort: p, ContainerPort: serverPort})...)
		l.eventually("the new address", func() error {
			return l.reaches(l.at("R"), "udp", port(second, p), "c1", a.remote)
		})
		for _, from := range []string{"R", "c2", "d1"} {
			l.seesItself(l.at(from), port(second, p), "c1")
			l.ends(l.at(from), port(a.host, p), netlab.Refused)
		}
		l.sees(l.at("H"), port(second, p), "c1", a.gateway1)
		l.ends(l.at("H"), port(a.host, p), netlab.Refused)
		l.ends(l.at("H"), port(a.loopback, p), netlab.Refused)

		// The same port of another address is another container's.
		l.publish("c2", both(api.PublishSpec{HostIP: a.host, HostPort: p, ContainerPort: serverPort})...)
		l.seesItself(l.at("R"), port(a.host, p), "c2")
		l.seesItself(l.at("R"), port(second, p), "c1")

		// Any address contains each.
		for _, any := range []netip.Addr{{}, a.any.Addr(), second} {
			_, err := l.api.PublishPorts(l.Context(), "d1", api.PortPublish{
				Publish: []api.PublishSpec{{HostIP: any, HostPort: p, ContainerPort: serverPort}},
			})
			if !errors.Is(err, api.PortInUse) {
				l.Errorf("%v beside %s: %v, want %v", any, second, err, api.PortInUse)
			}
		}
		l.seesItself(l.at("R"), port(second, p), "c1")
	})
	l.run("loopback addresses", func(l lab) {
		const p = 8086
		l.publish("c1", both(api.PublishSpec{HostIP: addr("127.0.1.2"), HostPort: p, ContainerPort: serverPort})...)
		l.publish("c2", both(api.PublishSpec{HostIP: addr("127.0.1.3"), HostPort: p, ContainerPort: serverPort})...)
		l.sees(l.at("H"), port(addr("127.0.1.2"), p), "c1", ipv4().gateway1)
		l.sees(l.at("H"), port(addr("127.0.1.3"), p), "c2", ipv4().gateway1)
		l.ends(l.at("H"), port(addr("127.0.0.1"), p), netlab.Refused)
	})
}

// A published port is taken for the host's processes, as if one of them had it open.
func TestPublishedPortCannotBeBound(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D19", func(l lab, a family) {
		for _, at := range []netip.Addr{a.any.Addr(), a.host, a.loopback} {
			l.bindEnds(port(at, publishedPort), netlab.InUse)
			l.bindEnds(port(at, publishedPort+1), netlab.OK)
		}
		// On one address only: the others are free, but not all of them together.
		const p = 8087
		l.publish("c1", both(api.PublishSpec{HostIP: a.host, HostPort: p, ContainerPort: serverPort})...)
		l.bindEnds(port(a.host, p), netlab.InUse)
		l.bindEnds(port(a.any.Addr(), p), netlab.InUse)
		l.bindEnds(port(a.loopback, p), netlab.OK)
		l.unpublish("c1", both(api.PublishSpec{HostIP: a.host, HostPort: p, ContainerPort: serverPort})...)
		l.bindEnds(port(a.host, p), netlab.OK)
		l.bindEnds(port(a.any.Addr(), p), netlab.OK)
		// Other namespaces have ports of their own.
		s, err := netlab.Whoami(l.Context(), l.at("c2"), netlab.ServerConfig{Port: publishedPort, Addr: a.any.Addr()})
		l.must(err)
		l.must(s.Close())
	})
	l.run("both families together", func(l lab) {
		// A socket for both: [::] without IPV6_V6ONLY.
		l.must(l.topo.Host.Do(func() error {
			if err := listenDual(publishedPort); netlab.Classify(err) != netlab.InUse {
				return fmt.Errorf("listen on [::]:%d for both families: %v", publishedPort, err)
			}
			return nil
		}))
	})
	l.run("right after", func(l lab) {
		l.unpublish("c1", both(api.PublishSpec{HostPort: publishedPort, ContainerPort: serverPort})...)
		for _, a := range []family{ipv4(), ipv6()} {
			l.bindEnds(port(a.any.Addr(), publishedPort), netlab.OK)
		}
	})
}

// bindEnds wants bind, over tcp and udp, to end so.
func (l lab) bindEnds(at netip.AddrPort, want netlab.Outcome) {
	l.Helper()
	tcp, err := l.topo.Host.Listen(l.Context(), at)
	if err == nil {
		l.must(tcp.Close())
	}
	if got := netlab.Classify(err); got != want {
		l.Errorf("listen on %s/tcp: %s (%v), want %s", at, got, err, want)
	}
	udp, err := l.topo.Host.ListenPacket(l.Context(), at)
	if err == nil {
		l.must(udp.Close())
	}
	if got := netlab.Classify(err); got != want {
		l.Errorf("bind %s/udp: %s (%v), want %s", at, got, err, want)
	}
}

func TestPublishAndUnpublishLive(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D20", func(l lab, a family) {
		const p = 8088
		spec := both(api.PublishSpec{HostIP: a.any.Addr(), HostPort: p, ContainerPort: serverPort})
		for round := range 3 {
			l.ends(l.at("R"), port(a.host, p), netlab.Refused)
			l.publish("c2", spec...)
			l.seesItself(l.at("R"), port(a.host, p), "c2")
			l.sees(l.at("H"), port(a.loopback, p), "c2", a.gateway1)
			l.seesItself(l.at("d1"), port(a.gateway2, p), "c2")

			stays := held{l: l}
			goes := map[string]*netlab.Stream{}
			for _, network := range protocols() {
				stays.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
				stays.add(l.at("c2"), network, port(a.remote, remotePort), netip.AddrPort{})
				for name, to := range map[string]netip.Addr{"R": a.host, "d1": a.gateway2, "c2": a.gateway1} {
					s, err := netlab.OpenStream(l.Context(), l.at(name), network, port(to, p),
						netlab.StreamConfig{Patience: silence})
					l.must(err)
					goes[fmt.Sprintf("round %d: %s from %s", round, network, name)] = s
				}
			}
			l.unpublish("c2", spec...)
			for what, s := range goes {
				l.cut(what, s)
			}
			stays.unharmed()
		}
		l.ends(l.at("R"), port(a.host, p), netlab.Refused)
		l.ends(l.at("H"), port(a.host, p), netlab.Refused)
	})
}

// Whoever publishes the port next gets the client's next packet, even over one UDP socket that never stops sending.
func TestPublisherChangesUnderTraffic(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D20", func(l lab, a family) {
		const p = 8089
		spec := both(api.PublishSpec{HostIP: a.any.Addr(), HostPort: p, ContainerPort: serverPort})
		source := port(a.remote, 5555)
		for _, container := range []string{"c1", "c2", "d1", "c1"} {
			l.publish(container, spec...)
			for _, network := range protocols() {
				seen := l.ask(l.at("R"), network, port(a.host, p), netlab.WhoAmIOptions{Source: source})
				l.judge(seen, network, container, a.remote, port(a.host, p))
			}
			l.unpublish(container, spec...)
			l.ends(l.at("R"), port(a.host, p), netlab.Refused)
		}
	})
}

// Several host ports lead to one container port.
func TestTwoPortsForOne(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D21", func(l lab, a family) {
		const p = 8090
		spec := both(api.PublishSpec{HostIP: a.any.Addr(), HostPort: p, ContainerPort: serverPort})
		l.publish("c1", spec...)
		l.seesItself(l.at("R"), port(a.host, p), "c1")
		l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
		// One client's socket to both at once: its port can be kept for one of them only, and both are answered.
		streams := held{l: l}
		for _, network := range protocols() {
			streams.add(l.at("R"), network, port(a.host, publishedPort), port(a.remote, 6666))
			streams.add(l.at("R"), network, port(a.host, p), port(a.remote, 6666))
			streams.add(l.at("d1"), network, port(a.host, publishedPort), port(a.d1, 6667))
			streams.add(l.at("d1"), network, port(a.host, p), port(a.d1, 6667))
		}
		streams.unharmed()
		for _, network := range protocols() {
			streams.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
		}
		l.unpublish("c1", spec...)
		l.ends(l.at("R"), port(a.host, p), netlab.Refused)
		l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
		streams.unharmed()
	})
}
