// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
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
