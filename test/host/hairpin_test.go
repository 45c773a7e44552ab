// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"testing"
)

// without br_netfilter's detour, in which iptables would translate bridged packets: nothing of ours may hang on it.
func (l lab) noBridgeNetfilter() {
	l.Helper()
	for _, key := range []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"} {
		if _, err := l.topo.Host.Sysctl(key); err == nil {
			l.must(l.topo.Host.SetSysctl(key, "0"))
		}
	}
}

// Hairpin: containers reach a published port by addresses of the host.
func TestHairpin(t *testing.T) {
	modes(t, func(l lab) {
		l.noBridgeNetfilter()
		l.run("itself", func(l lab) {
			l.families("D04", func(l lab, a family) {
				for _, to := range []netip.Addr{a.host, a.gateway1} {
					l.sees(l.at("c1"), port(to, publishedPort), "c1", a.gateway1)
				}
			})
		})
		l.run("neighbour", func(l lab) {
			l.families("D05", func(l lab, a family) {
				for _, to := range []netip.Addr{a.host, a.gateway1} {
					l.seesItself(l.at("c2"), port(to, publishedPort), "c1")
				}
			})
		})
		l.run("other network", func(l lab) {
			l.families("D06", func(l lab, a family) {
				for _, to := range []netip.Addr{a.host, a.gateway1, a.gateway2} {
					l.seesItself(l.at("d1"), port(to, publishedPort), "c1")
				}
			})
		})
		l.run("streams", func(l lab) {
			l.families("D04 D05 D06", func(l lab, a family) {
				streams := held{l: l}
				for _, from := range []string{"c1", "c2", "d1"} {
					for _, network := range protocols() {
						streams.add(l.at(from), network, port(a.host, publishedPort), netip.AddrPort{})
					}
				}
				streams.unharmed()
			})
		})
	})
}
