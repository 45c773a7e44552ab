// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vethway/vethway/test/netlab"
)

// accesses asks c1's published port from every place in every way that the
// target has, and wants the target to have all but those that are named
// ("loopback ipv6"), and its counters to prove what way that was.
func (l lab) accesses(without ...string) {
	l.Helper()
	for _, f := range []Family{IPv4, IPv6} {
		for _, from := range Places() {
			none := slices.Contains(without, fmt.Sprintf("%s %s", from, f))
			if none {
				l.noAccess(from, f)
				continue
			}
			l.proves(Way(from), f, func() {
				for _, p := range CommonSpec().Networks[0].Containers[0].Publish {
					l.access(from, p, f)
				}
			})
		}
	}
}

func (l lab) noAccess(from Place, f Family) {
	l.Helper()
	for _, p := range CommonSpec().Networks[0].Containers[0].Publish {
		if _, err := l.target.Access(from, "c1", p, f); !errors.Is(err, ErrNoAccess) {
			l.Errorf("%s to %s over %s: %v, want no way", from, p, f, err)
		}
	}
}

func (l lab) access(from Place, p Port, f Family) {
	l.Helper()
	a, err := l.target.Access(from, "c1", p, f)
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

// proves wants counters that prove the way of some traffic.
func (l lab) proves(w Way, f Family, traffic func()) {
	l.Helper()
	time.Sleep(200 * time.Millisecond) // what was asked before may still be closing its connections
	before, err := l.target.Counters(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	if shown, err := Prove(l.target, w, f, before, before); err == nil {
		l.Errorf("%s over %s is proven by nothing at all: %s", w, f, shown)
	}
	traffic()
	after, err := l.target.Counters(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	if _, err := Prove(l.target, w, f, before, after); err != nil {
		l.Error(err)
	}
}

// provesOthers wants proofs of the ways that do not lead to published ports.
func (l lab) provesOthers() {
	l.Helper()
	for f, addrs := range map[Family][2]string{
		IPv4: {"192.0.2.3:9000", "172.30.1.2:80"},
		IPv6: {"[2001:db8:2::3]:9000", "[fd30:1::2]:80"},
	} {
		for i, w := range []Way{Outward, Inside} {
			l.proves(w, f, func() {
				l.reaches("c2", addrs[i], "tcp")
				l.reaches("c2", addrs[i], "udp")
			})
		}
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
