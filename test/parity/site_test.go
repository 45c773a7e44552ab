// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// TestMain builds the daemon: what is compared is what users run.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 || testing.Short() {
		return m.Run()
	}
	bin, err := os.MkdirTemp("", "vethway-bin-")
	if err == nil {
		defer os.RemoveAll(bin)
		_, err = hostlab.Build(context.Background(), bin)
	}
	if err == nil {
		err = os.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := netlab.CheckLeaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// site is one target with a server everywhere.
type site struct {
	topo   *netlab.Topology
	target rivals.Target
}

func newSite(t *testing.T, target rivals.Target) *site {
	t.Helper()
	topo := netlab.Must(t, netlab.Config{Name: target.Name()})
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	s := &site{topo, target}
	// Closed ports are asked more often than the kernel answers.
	for _, key := range []string{"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"} {
		s.must(t, topo.Host.SetSysctl(key, "0"))
	}
	spec := rivals.CommonSpec()
	s.must(t, target.Setup(t.Context(), topo, spec))
	for _, n := range spec.Networks {
		s.must(t, topo.RouteToContainers(n.Subnet4))
		s.must(t, topo.RouteToContainers(n.Subnet6))
		for _, c := range n.Containers {
			ns := target.Container(c.Name)
			for _, key := range []string{"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"} {
				s.must(t, ns.SetSysctl(key, "0"))
			}
			s.serve(t, ns, c.Name, served)
		}
	}
	s.serve(t, topo.Remote, "R", service)
	s.serve(t, topo.Host, "H", service)
	return s
}

func (s *site) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) serve(t *testing.T, ns *netlab.Namespace, label string, port uint16) {
	t.Helper()
	server, err := netlab.Whoami(t.Context(), ns, netlab.ServerConfig{Label: label, Port: port})
	s.must(t, err)
	t.Cleanup(func() { server.Close() })
}

func (s *site) at(name string) *netlab.Namespace {
	switch name {
	case "R":
		return s.topo.Remote
	case "H":
		return s.topo.Host
	}
	return s.target.Container(name)
}
