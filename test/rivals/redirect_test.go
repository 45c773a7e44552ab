// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
)

func TestRedirect(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := setUp(t, NewRedirect())
	l.sees("R", "172.30.1.2:80", "c1", "192.0.2.3")
	l.sees("R", "[fd30:1::2]:80", "c1", "2001:db8:2::3")
	l.sees("c1", "192.0.2.3:9000", "lab-remote", "172.30.1.2")
	l.sees("c1", "[2001:db8:2::3]:9000", "lab-remote", "fd30:1::2")
	l.sees("c2", "172.30.1.2:80", "c1", "172.30.1.3")
	l.sees("d1", "[fd30:1::2]:80", "c1", "fd30:2::2")
	l.sees("H", "172.30.1.2:80", "c1", "172.30.1.1")
	for _, f := range []Family{IPv4, IPv6} {
		l.noAccess(FromSelf, f)
		for _, from := range []Place{FromRemote, FromHost, FromLoopback, FromNeighbour, FromOther} {
			l.proves(Way(from), f, func() {
				for _, p := range CommonSpec().Networks[0].Containers[0].Publish {
					l.access(from, p, f)
				}
			})
		}
	}
	l.provesOthers()
	l.proof()
}

// Every packet of a way is redirected: the few that evidence allows the host,
// for what it says on its own, are more than a test sends.
func TestRedirectTakesAll(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	target := NewRedirect()
	l := setUp(t, target)
	traffic := func() {
		for range 20 {
			for _, to := range []string{"172.30.1.2:80", "[fd30:1::2]:80"} {
				l.reaches("R", to, "udp")
				l.reaches("c2", to, "udp")
				l.reaches("d1", to, "udp")
			}
			l.reaches("c2", "192.0.2.3:9000", "udp")
			l.reaches("c2", "[2001:db8:2::3]:9000", "udp")
		}
	}
	const exchanges = 20 * 8
	counted := func() (carried, delivered uint64) {
		before, err := target.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		traffic()
		after, err := target.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return after["carried"] - before["carried"], after["delivered"] - before["delivered"]
	}
	traffic() // neighbours have found each other
	carried, delivered := counted()
	if carried < 2*exchanges || delivered > exchanges/4 {
		t.Errorf("of %d exchanges containers carried %d packets, and the host sent %d of them", exchanges, carried, delivered)
	}

	// The proof sees when there is no redirect.
	for _, detach := range target.programs {
		if err := detach.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, delivered := counted(); delivered < exchanges {
		t.Errorf("without programs the host sent %d packets for %d exchanges", delivered, exchanges)
	}
	before, err := target.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.reaches("R", "172.30.1.2:80", "udp")
	after, err := target.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if shown, err := Prove(target, Way(FromRemote), IPv4, before, after); err == nil || !strings.Contains(err.Error(), "forwarded moved") {
		t.Errorf("without programs it is proven: %s, %v", shown, err)
	}
}

// What the host itself sends does not go through its bridge.
func TestRedirectTakesTheHosts(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	target := NewRedirect()
	l := setUp(t, target)
	const exchanges = 30
	bridged := func() uint64 {
		before, err := target.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range exchanges {
			l.reaches("H", "172.30.1.2:80", "udp")
			l.reaches("H", "[fd30:1::2]:80", "udp")
		}
		after, err := target.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return after["bridged"] - before["bridged"]
	}
	bridged() // neighbours have found each other
	if n := bridged(); n > exchanges/2 {
		t.Errorf("of %d exchanges the host's bridges sent %d packets", 2*exchanges, n)
	}
	for _, detach := range target.programs {
		if err := detach.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := bridged(); n < 2*exchanges {
		t.Errorf("without programs the host's bridges sent %d packets for %d exchanges", n, 2*exchanges)
	}
}

func TestRedirectLeavesCrowds(t *testing.T) {
	t.Parallel()
	spec, err := ScaledSpec(fewContainers+1, 1)
	if err != nil {
		t.Fatal(err)
	}
	target := NewRedirect()
	if err := target.Setup(t.Context(), nil, spec); err == nil || !strings.Contains(err.Error(), ErrUnavailable.Error()) {
		t.Errorf("%d containers: %v", spec.containers(), err)
	}
}
