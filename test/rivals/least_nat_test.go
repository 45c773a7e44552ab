// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestLeastNAT(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	target := NewLeastNAT()
	l := setUp(t, target)
	l.sees("R", "192.0.2.2:8080", "c1", "192.0.2.3")
	l.sees("R", "[2001:db8:2::2]:8080", "c1", "2001:db8:2::3")
	l.sees("c1", "192.0.2.3:9000", "lab-remote", "192.0.2.2")
	l.sees("c1", "[2001:db8:2::3]:9000", "lab-remote", "2001:db8:2::2")
	l.sees("c2", "172.30.1.2:80", "c1", "172.30.1.3")
	l.sees("d1", "[fd30:1::2]:80", "c1", "fd30:2::2")
	for _, f := range []Family{IPv4, IPv6} {
		for _, from := range Places() {
			if from != FromRemote {
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
	l.provesOthers()
	l.proof()
	if n, err := target.Flows(); err != nil || n == 0 {
		t.Errorf("%d flows, %v", n, err)
	}
	if err := target.Forget(); err != nil {
		t.Fatal(err)
	}
	if n, err := target.Flows(); err != nil || n != 0 {
		t.Errorf("%d flows are left, %v", n, err)
	}
	l.sees("R", "192.0.2.2:8080", "c1", "192.0.2.3")
}

// A limit must not do more than it says: what nothing is known of, and no rule
// begins, is nobody's, and between neighbours no flow is kept.
func TestLeastNATKeepsNothingElse(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	target := NewLeastNAT()
	l := setUp(t, target)
	l.silent("R", "192.0.2.2:8081", netlab.Refused)
	l.reaches("c2", "172.30.1.2:80", "tcp")
	l.reaches("c2", "[fd30:1::2]:80", "udp")
	if n, err := target.Flows(); err != nil || n != 0 {
		t.Errorf("%d flows of what is not translated, %v", n, err)
	}
	for i, flow := range [][2]string{{"192.0.2.2:8080", "tcp"}, {"[2001:db8:2::2]:8080", "udp"}} {
		l.reaches("R", flow[0], flow[1])
		if n, err := target.Flows(); err != nil || n != i+1 {
			t.Errorf("%d flows of %d, %v", n, i+1, err)
		}
	}

	// Without the table nothing is translated, and the proof has nothing to show.
	before, err := target.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.reaches("R", "192.0.2.2:8080", "udp")
	if err := target.Forget(); err != nil {
		t.Fatal(err)
	}
	after, err := target.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if shown, err := Prove(target, Way(FromRemote), IPv4, before, after); err == nil || !strings.Contains(err.Error(), "flows is 0") {
		t.Errorf("without flows it is proven: %s, %v", shown, err)
	}
}

// What a socket sends over a veth has the checksum of its pseudo-header alone,
// which nobody looks at there. An uplink that completes none shows whether it
// was corrected.
func TestLeastNATCorrectsPartialChecksums(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter", "ethtool")
	t.Parallel()
	l := setUp(t, NewLeastNAT())
	if _, err := l.topo.Host.Run(t.Context(), "ethtool", "-K", l.topo.Uplinks[0].Dev, "tx", "off"); err != nil {
		t.Fatal(err)
	}
	l.sees("c1", "192.0.2.3:9000", "lab-remote", "192.0.2.2")
	l.sees("c1", "[2001:db8:2::3]:9000", "lab-remote", "2001:db8:2::2")
	l.sees("R", "192.0.2.2:8080", "c1", "192.0.2.3")
	l.sees("R", "[2001:db8:2::2]:8080", "c1", "2001:db8:2::3")
}

func TestLeastNATLeavesCrowds(t *testing.T) {
	t.Parallel()
	spec, err := ScaledSpec(fewContainers+1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewLeastNAT().Setup(t.Context(), nil, spec); err == nil || !strings.Contains(err.Error(), ErrUnavailable.Error()) {
		t.Errorf("%d containers: %v", spec.containers(), err)
	}
}

// Of many ports it knows those that are measured.
func TestLeastNATWithManyPorts(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	spec, err := ScaledSpec(2, 3000)
	if err != nil {
		t.Fatal(err)
	}
	l := setUpSpec(t, NewLeastNAT(), spec, "c1", "c2", "d1")
	for _, f := range []Family{IPv4, IPv6} {
		l.proves(Way(FromRemote), f, func() {
			for _, p := range CommonSpec().Networks[0].Containers[0].Publish {
				l.access(FromRemote, p, f)
			}
		})
	}
}
