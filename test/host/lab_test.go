// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/control/client"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// The ports of the servers.
const (
	publishedPort = 8080 // on the host, leads to serverPort of c1
	serverPort    = 80   // in every container
	otherPort     = 81   // in every container, published by nobody
	remotePort    = 9000 // on R and on H
)

// silence is how long a test waits for an answer that must not come.
const silence = 150 * time.Millisecond

// TestMain builds the daemon: tests run what users run.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	if os.Geteuid() != 0 || testing.Short() {
		return m.Run() // every test skips
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
	code = m.Run()
	if err := errors.Join(hostlab.Leaks(), netlab.CheckLeaks()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// lab is the topology with the daemon on its host, and a server everywhere.
type lab struct {
	*testing.T
	topo   *netlab.Topology
	target *rivals.Vethway
	vw     *hostlab.Lab
	api    *client.Client
}

// newLab makes the networks and containers of rivals.CommonSpec.
func newLab(t *testing.T, flags ...string) lab {
	t.Helper()
	return newLabOn(t, newHost(t), rivals.CommonSpec(), flags...)
}

// newHost is a host without anything of ours.
func newHost(t *testing.T) *netlab.Topology {
	t.Helper()
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter", "ip")
	topo := netlab.Must(t, netlab.Config{})
	// Tests ask closed ports more often than the kernel answers.
	for _, key := range []string{"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"} {
		if err := topo.Host.SetSysctl(key, "0"); err != nil {
			t.Fatal(err)
		}
	}
	return topo
}

func newLabOn(t *testing.T, topo *netlab.Topology, spec rivals.Spec, flags ...string) lab {
	t.Helper()
	target, err := rivals.NewVethway(rivals.VethwayConfig{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	l := lab{T: t, topo: topo, target: target}
	t.Cleanup(func() {
		if l.vw != nil && t.Failed() {
			t.Logf("vethwayd:\n%s", l.vw.Log())
		}
		if err := target.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	if err := target.Setup(t.Context(), topo, spec); err != nil {
		t.Fatal(err)
	}
	l.vw, l.api = target.Lab(), target.Lab().Client
	for _, n := range spec.Networks {
		for _, c := range n.Containers {
			l.serve(target.Container(c.Name), c.Name, serverPort)
			l.serve(target.Container(c.Name), c.Name, otherPort)
		}
	}
	l.serve(topo.Remote, "R", remotePort)
	l.serve(topo.Host, "H", remotePort)
	return l
}

// serve starts a server on every address.
func (l lab) serve(ns *netlab.Namespace, label string, port uint16) *netlab.Server {
	l.Helper()
	s, err := netlab.Whoami(l.Context(), ns, netlab.ServerConfig{Label: label, Port: port})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { s.Close() })
	return s
}

// at finds the namespace of "R", "H" or a container.
func (l lab) at(name string) *netlab.Namespace {
	l.Helper()
	switch name {
	case "R":
		return l.topo.Remote
	case "H":
		return l.topo.Host
	}
	ns := l.target.Container(name)
	if ns == nil {
		l.Fatalf("no namespace %s", name)
	}
	return ns
}

// with is the lab for a subtest.
func (l lab) with(t *testing.T) lab {
	l.T = t
	return l
}

// run is a subtest.
func (l lab) run(name string, f func(l lab)) {
	l.Helper()
	l.Run(name, func(t *testing.T) { f(l.with(t)) })
}

// must fails the test.
func (l lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// command runs a program in a namespace and returns what it printed.
func (l lab) command(ns *netlab.Namespace, line string) string {
	l.Helper()
	args := strings.Fields(line)
	out, err := ns.Run(l.Context(), args[0], args[1:]...)
	l.must(err)
	return out
}

// eventually tries until there is no error, for what follows a netlink event.
func (l lab) eventually(what string, f func() error) {
	l.Helper()
	var err error
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	l.Fatalf("%s: not within five seconds: %v", what, err)
}

// modes runs a test once for each way to attach programs.
func modes(t *testing.T, f func(l lab)) {
	behaviour.NeedRoot(t)
	t.Parallel()
	for _, mode := range []string{"tcx", "clsact"} {
		t.Run(mode, func(t *testing.T) {
			needMode(t, mode)
			t.Parallel()
			f(newLab(t, "--attach="+mode))
		})
	}
}

func needMode(t *testing.T, mode string) {
	t.Helper()
	if mode == "tcx" {
		behaviour.NeedLinux(t, 6, 6, "tcx")
	}
}

// family is the addresses of the topology in one family.
type family struct {
	name             string
	host, remote     netip.Addr
	second           netip.Prefix // one more for the host, nobody's yet
	gateway1         netip.Addr
	gateway2         netip.Addr
	c1, c2, d1       netip.Addr
	subnet1, subnet2 netip.Prefix
	loopback         netip.Addr
	any              netip.Prefix
}

func ipv4() family {
	return family{
		name: behaviour.IPv4,
		host: addr("192.0.2.2"), remote: addr("192.0.2.3"), second: prefix("192.0.2.77/24"),
		gateway1: addr("172.30.1.1"), gateway2: addr("172.30.2.1"),
		c1: addr("172.30.1.2"), c2: addr("172.30.1.3"), d1: addr("172.30.2.2"),
		subnet1: prefix("172.30.1.0/24"), subnet2: prefix("172.30.2.0/24"),
		loopback: addr("127.0.0.1"), any: prefix("0.0.0.0/0"),
	}
}

func ipv6() family {
	return family{
		name: behaviour.IPv6,
		host: addr("2001:db8:2::2"), remote: addr("2001:db8:2::3"), second: prefix("2001:db8:2::77/64"),
		gateway1: addr("fd30:1::1"), gateway2: addr("fd30:2::1"),
		c1: addr("fd30:1::2"), c2: addr("fd30:1::3"), d1: addr("fd30:2::2"),
		subnet1: prefix("fd30:1::/64"), subnet2: prefix("fd30:2::/64"),
		loopback: addr("::1"), any: prefix("::/0"),
	}
}

// families runs a subtest for each family, which proves the behaviours.
func (l lab) families(behaviours string, f func(l lab, a family)) {
	l.Helper()
	for _, a := range []family{ipv4(), ipv6()} {
		l.Run(a.name, func(t *testing.T) {
			for _, id := range strings.Fields(behaviours) {
				behaviour.Covers(t, id, a.name)
			}
			f(l.with(t), a)
		})
	}
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func port(a netip.Addr, p uint16) netip.AddrPort { return netip.AddrPortFrom(a, p) }
