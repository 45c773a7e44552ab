// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// refusesDirect wants a container's own address not to answer, by any means, each attempt to be counted, and not a single
// packet to arrive: silence may also be that of a lost answer.
func (l lab) refusesDirect(from *netlab.Namespace, container string, target netip.Addr, counter string) {
	l.Helper()
	ear, err := netlab.OpenPacket(l.at(container), "eth0")
	l.must(err)
	defer ear.Close()
	l.dropped(counter, 5, func() {
		var wg sync.WaitGroup
		for _, p := range []uint16{serverPort, otherPort} {
			for _, network := range protocols() {
				wg.Go(func() {
					if got := netlab.Try(l.Context(), from, network, port(target, p), silence); got != netlab.TimesOut {
						l.Errorf("from %s directly to %s/%s: %s", from, port(target, p), network, got)
					}
				})
			}
		}
		wg.Go(func() { l.noPing(from, target) })
		wg.Wait()
	})
	// The ear is not deaf: the host may speak with any container.
	l.sees(l.at("H"), port(target, serverPort), container, l.gatewayOf(target))
	ctx, cancel := context.WithTimeout(l.Context(), silence)
	defer cancel()
	heard := 0
	frames, err := ear.Collect(ctx, func(f netlab.Frame) bool {
		ip, ok := f.IP()
		toTarget := ok && !f.Outgoing && ip.Dst.Addr() == target
		if toTarget && ip.Src.Addr() == l.gatewayOf(target) {
			heard++
			return false
		}
		return toTarget
	})
	l.must(err)
	if len(frames) > 0 {
		ip, _ := frames[0].IP()
		l.Errorf("%d packets arrived in %s, such as one from %s to %s", len(frames), container, ip.Src, ip.Dst)
	}
	if heard == 0 {
		l.Errorf("nothing of the host's own was heard in %s", container)
	}
}

// gatewayOf is the gateway of a container's network.
func (l lab) gatewayOf(container netip.Addr) netip.Addr {
	l.Helper()
	for _, a := range []family{ipv4(), ipv6()} {
		switch {
		case a.subnet1.Contains(container):
			return a.gateway1
		case a.subnet2.Contains(container):
			return a.gateway2
		}
	}
	l.Fatalf("%s is in no network", container)
	return netip.Addr{}
}

func TestNetworksAreIsolated(t *testing.T) {
	modes(t, func(l lab) {
		l.families("D08", func(l lab, a family) {
			l.refusesDirect(l.at("d1"), "c1", a.c1, "from-container/isolated")
			l.refusesDirect(l.at("d1"), "c2", a.c2, "from-container/isolated")
			l.refusesDirect(l.at("c1"), "d1", a.d1, "from-container/isolated")
			// An address of the subnet that no container has.
			nobody := a.c1.Next().Next().Next()
			l.dropped("from-container/isolated", 1, func() { l.ends(l.at("d1"), port(nobody, serverPort), netlab.TimesOut) })
			// The host itself reaches everybody.
			l.sees(l.at("H"), port(a.c1, otherPort), "c1", a.gateway1)
			l.sees(l.at("H"), port(a.d1, otherPort), "d1", a.gateway2)
		})
	})
}

func TestNoDirectAccessFromOutside(t *testing.T) {
	modes(t, func(l lab) {
		l.families("D09", func(l lab, a family) {
			l.must(l.topo.RouteToContainers(a.subnet1))
			l.refusesDirect(l.at("R"), "c1", a.c1, "from-uplink/direct")
			l.refusesDirect(l.at("R"), "c2", a.c2, "from-uplink/direct")
			// Not by the number of the published port either.
			l.dropped("from-uplink/direct", 2, func() { l.ends(l.at("R"), port(a.c1, publishedPort), netlab.TimesOut) })
			l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
		})
	})
}

// A bridge that somebody else made, such as libvirt's, is one more outside.
func TestForeignBridge(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	for _, mode := range []struct{ name, flag, direct string }{
		{"uplink", "--attach=auto", "from-uplink/direct"},
		// Isolation must not hang on knowing the interface.
		{"unknown", "--uplink=eth0", "to-bridge/direct"},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			topo := newHost(t)
			forward(t, topo.Host)
			l := newLabOn(t, topo, rivals.CommonSpec(), mode.flag)
			foreign, err := topo.AddForeignBridge()
			l.must(err)
			l.serve(foreign.Guest, "guest", remotePort)
			if mode.name == "uplink" {
				l.eventually("the bridge becomes an uplink", func() error {
					return l.reaches(foreign.Guest, "udp", port(foreign.Addr4, publishedPort), "c1", foreign.Guest4)
				})
			}
			l.families("D08 D09", func(l lab, a family) {
				own, guest := foreign.Addr4, foreign.Guest4
				if a.host.Is6() {
					own, guest = foreign.Addr6, foreign.Guest6
				}
				l.refusesDirect(foreign.Guest, "c1", a.c1, mode.direct)
				l.refusesDirect(foreign.Guest, "d1", a.d1, mode.direct)
				if mode.name == "unknown" {
					l.dropped("from-container/not-uplink", 1, func() {
						l.ends(l.at("c1"), port(guest, remotePort), netlab.TimesOut)
					})
					l.ends(foreign.Guest, port(own, publishedPort), netlab.Refused)
					return
				}
				l.seesItself(foreign.Guest, port(own, publishedPort), "c1")
				l.seesItself(foreign.Guest, port(a.host, publishedPort), "c1")
				l.sees(l.at("c1"), port(guest, remotePort), "guest", own)
				// What is not for containers goes on as before: the guest and the host.
				l.seesItself(foreign.Guest, port(own, remotePort), "H")
				l.sees(l.at("H"), port(guest, remotePort), "guest", own)
			})
		})
	}
}

// forward has the host route between any two interfaces, as with libvirt or another Docker on it.
func forward(t *testing.T, host *netlab.Namespace) {
	t.Helper()
	for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := host.SetSysctl(key, "1"); err != nil {
			t.Fatal(err)
		}
	}
}

// A tun interface has no link-layer header.
func TestTunInterface(t *testing.T) {
	modes(t, func(l lab) {
		v := l.newVPN()
		l.families("D01 D08 D09 D10", func(l lab, a family) {
			own, peer := v.in(a)
			l.must(v.client.AddRoute(netlab.Route{Dst: a.subnet1, Dev: "tun0"}))
			l.refusesDirect(v.client, "c1", a.c1, "from-uplink/direct")
			l.refusesDirect(v.client, "c2", a.c2, "from-uplink/direct")
			l.seesItself(v.client, port(own, publishedPort), "c1")
			l.sees(l.at("c1"), port(peer, remotePort), "vpn", own)
			l.sees(l.at("d1"), port(peer, remotePort), "vpn", own)
			l.pings(l.at("c1"), peer)
			streams := held{l: l}
			for _, network := range protocols() {
				streams.add(v.client, network, port(own, publishedPort), netip.AddrPort{})
				streams.add(l.at("c1"), network, port(peer, remotePort), netip.AddrPort{})
			}
			streams.unharmed()
		})
	})
}
