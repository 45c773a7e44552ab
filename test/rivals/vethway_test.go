// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
)

func TestVethway(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	t.Parallel()
	program, err := hostlab.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewVethway(VethwayConfig{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	l := setUp(t, target)
	l.sees("R", "192.0.2.2:8080", "c1", "192.0.2.3")
	l.sees("R", "[2001:db8:2::2]:8080", "c1", "2001:db8:2::3")
	l.sees("d1", "192.0.2.2:8080", "c1", "172.30.2.2")
	l.sees("d1", "[2001:db8:2::2]:8080", "c1", "fd30:2::2")
	l.sees("c1", "192.0.2.3:9000", "lab-remote", "192.0.2.2")
	l.sees("d1", "[2001:db8:2::3]:9000", "lab-remote", "2001:db8:2::2")
	l.sees("c2", "172.30.1.2:80", "c1", "172.30.1.3")
	l.sees("c2", "[fd30:1::2]:80", "c1", "fd30:1::3")
	l.silent("d1", "172.30.1.2:80", netlab.TimesOut)
	l.accesses()
	l.provesOthers()
	l.proof()

	p := Port{HostPort: 9090, ContainerPort: 80, Proto: "tcp"}
	if err := target.Publish(t.Context(), "c2", p); err != nil {
		t.Fatal(err)
	}
	if err := target.Publish(t.Context(), "c2", p); err == nil {
		t.Errorf("%s is published twice", p)
	}
	at, err := target.Reach("c2", p, IPv6)
	if err != nil {
		t.Fatal(err)
	}
	if got := netlab.Try(t.Context(), l.topo.Remote, "tcp", at, 0); got != netlab.OK {
		t.Errorf("the port of c2 that was published later: %s", got)
	}
	if err := target.Unpublish(t.Context(), "c2", p); err != nil {
		t.Fatal(err)
	}
	if got := netlab.Try(t.Context(), l.topo.Remote, "tcp", at, 0); got != netlab.Refused {
		t.Errorf("the same port after it was withdrawn: %s", got)
	}
}
