// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/test/netlab"
)

// accesses asks c1's published port from every place in every way that the
// target has, and wants the target to have all but those that are named:
// "loopback ipv6".
func (l lab) accesses(without ...string) {
	l.Helper()
	for _, f := range []Family{IPv4, IPv6} {
		for _, from := range Places() {
			for _, p := range CommonSpec().Networks[0].Containers[0].Publish {
				l.access(from, p, f, slices.Contains(without, fmt.Sprintf("%s %s", from, f)))
			}
		}
	}
}

func (l lab) access(from Place, p Port, f Family, none bool) {
	l.Helper()
	a, err := l.target.Access(from, "c1", p, f)
	if none {
		if !errors.Is(err, ErrNoAccess) {
			l.Errorf("%s to %s over %s: %v, want no way", from, p, f, err)
		}
		return
	}
	if err != nil {
		l.Errorf("%s to %s over %s: %v", from, p, f, err)
		return
	}
	seen, err := netlab.WhoAmI(l.Context(), a.Client, p.Proto, a.Dial, netlab.WhoAmIOptions{})
	if err != nil {
		l.Errorf("%s to %s/%s: %v", from, a.Dial, p.Proto, err)
		return
	}
	if seen.Server != "c1" || seen.Peer.Addr() != a.Peer {
		l.Errorf("%s to %s/%s: %s, want c1 to see %s", from, a.Dial, p.Proto, seen, a.Peer)
	}
}

func TestAccessOfOneAddress(t *testing.T) {
	s := &site{topo: &netlab.Topology{}, spec: CommonSpec()}
	s.topo.Host4 = netip.MustParseAddr("192.0.2.2")
	p := Port{HostPort: 8080, ContainerPort: 80, Proto: "tcp"}
	for _, tc := range []struct {
		hostIP string
		from   Place
		want   string
	}{
		{"192.0.2.77", FromRemote, "192.0.2.77:8080"},
		{"192.0.2.77", FromLoopback, ""},
		{"127.0.0.2", FromLoopback, "127.0.0.2:8080"},
		{"127.0.0.2", FromRemote, ""},
		{"127.0.0.2", FromHost, ""},
		{"0.0.0.0", FromLoopback, "127.0.0.1:8080"},
		{"0.0.0.0", FromHost, "192.0.2.2:8080"},
	} {
		p.HostIP = netip.MustParseAddr(tc.hostIP)
		a, err := s.hostAccess(tc.from, "c1", p, IPv4)
		if tc.want == "" {
			if !errors.Is(err, ErrNoAccess) {
				t.Errorf("%s to %s: %v, %v, want no way", tc.from, p, a.Dial, err)
			}
		} else if err != nil || a.Dial.String() != tc.want {
			t.Errorf("%s to %s: %s, %v, want %s", tc.from, p, a.Dial, err, tc.want)
		}
	}
}
