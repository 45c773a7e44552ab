// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestPublishedPortFromRemote(t *testing.T) {
	modes(t, func(l lab) {
		l.families("D01", func(l lab, a family) {
			l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
			// More than one packet each way.
			streams := held{l: l}
			for _, network := range protocols() {
				s := streams.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
				if got := s.Seen(); got.Local != port(a.c1, serverPort) {
					l.Errorf("the container was asked at %s", got.Local)
				}
			}
			streams.unharmed()
			flows, err := l.api.Flows(l.Context(), api.FlowFilter{Container: "c1", Address: a.remote, Kind: "published"})
			l.must(err)
			if len(flows) != 4 {
				l.Errorf("%d flows are listed, want 4: %+v", len(flows), flows)
			}
		})
	})
}

// By a gateway's address, for whoever has a route there: the published port, and nothing else of the host's.
func TestGatewayFromRemote(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D01 D09", func(l lab, a family) {
		l.must(l.topo.RouteToContainers(a.subnet1))
		l.must(l.topo.RouteToContainers(a.subnet2))
		streams := held{l: l}
		for _, gateway := range []netip.Addr{a.gateway1, a.gateway2} {
			l.seesItself(l.at("R"), port(gateway, publishedPort), "c1")
			for _, network := range protocols() {
				streams.add(l.at("R"), network, port(gateway, publishedPort), netip.AddrPort{})
			}
			l.dropped("from-uplink/direct", 3, func() {
				l.ends(l.at("R"), port(gateway, remotePort), netlab.TimesOut)
				l.noPing(l.at("R"), gateway)
			})
		}
		streams.unharmed()
	})
}
