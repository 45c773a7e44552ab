// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ProxyCommand {
		os.Exit(serveProxy(os.Args[2:]))
	}
	code := m.Run()
	if err := netlab.CheckLeaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// lab is a target that has been set up, with a server in every container.
type lab struct {
	*testing.T
	topo   *netlab.Topology
	target Target
}

func setUp(t *testing.T, target Target) lab {
	t.Helper()
	return setUpSpec(t, target, CommonSpec(), "c1", "c2", "d1")
}

func setUpSpec(t *testing.T, target Target, spec Spec, servers ...string) lab {
	t.Helper()
	topo := netlab.Must(t, netlab.Config{})
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if spec.containers() <= fewContainers {
			checkClean(t, topo.Host)
		}
	})
	if err := target.Setup(t.Context(), topo, spec); err != nil {
		t.Fatal(err)
	}
	for _, name := range servers {
		s, err := netlab.Whoami(t.Context(), target.Container(name), netlab.ServerConfig{Label: name, Port: 80})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
	}
	netlab.MustWhoami(t, topo.Remote, 9000)
	return lab{t, topo, target}
}

// checkClean wants a host as it was before.
func checkClean(t *testing.T, host *netlab.Namespace) {
	t.Helper()
	links, err := host.Links()
	if err != nil {
		t.Error(err)
	}
	for _, l := range links {
		if l.Name != "lo" && l.Name != "eth0" {
			t.Errorf("interface %s is left on the host", l.Name)
		}
	}
	for key, want := range map[string]string{"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"} {
		if got, err := host.Sysctl(key); err != nil || got != want {
			t.Errorf("sysctl %s is left at %q (%v), want %s", key, got, err, want)
		}
	}
}

// from finds the namespace of "R", "H" or a container.
func (l lab) from(name string) *netlab.Namespace {
	switch name {
	case "R":
		return l.topo.Remote
	case "H":
		return l.topo.Host
	default:
		return l.target.Container(name)
	}
}

// sees asks, over tcp and udp, and wants a certain server and peer.
func (l lab) sees(from, to, server, peer string) {
	l.Helper()
	addr, want := netip.MustParseAddrPort(to), netip.MustParseAddr(peer)
	for _, network := range []string{"tcp", "udp"} {
		seen, err := netlab.WhoAmI(l.Context(), l.from(from), network, addr, netlab.WhoAmIOptions{})
		if err != nil {
			l.Errorf("%s to %s/%s: %v", from, to, network, err)
			continue
		}
		if seen.Server != server || seen.Peer.Addr() != want {
			l.Errorf("%s to %s/%s: %s, want %s to see %s", from, to, network, seen, server, peer)
		}
	}
}

// reaches wants an answer over one protocol.
func (l lab) reaches(from, to, proto string) {
	l.Helper()
	if got := netlab.Try(l.Context(), l.from(from), proto, netip.MustParseAddrPort(to), 0); got != netlab.OK {
		l.Errorf("%s to %s/%s: %s", from, to, proto, got)
	}
}

// silent wants no answer over tcp and udp.
func (l lab) silent(from, to string, want netlab.Outcome) {
	l.Helper()
	for _, network := range []string{"tcp", "udp"} {
		var patience time.Duration // as long as it takes
		if want == netlab.TimesOut {
			patience = 150 * time.Millisecond
		}
		got := netlab.Try(l.Context(), l.from(from), network, netip.MustParseAddrPort(to), patience)
		if got != want {
			l.Errorf("%s to %s/%s: %s, want %s", from, to, network, got, want)
		}
	}
}

// proof wants counters that have moved.
func (l lab) proof() {
	l.Helper()
	proof, err := l.target.Proof(l.Context())
	if err != nil {
		l.Error(err)
	}
	l.Log(proof)
}

// outside is what all translating targets do alike.
func (l lab) outside() {
	l.Helper()
	l.sees("R", "192.0.2.2:8080", "c1", "192.0.2.3")
	l.sees("R", "[2001:db8:2::2]:8080", "c1", "2001:db8:2::3")
	// Docker masquerades whatever leaves a network by another interface, and
	// that is the bridge of network one here: c1 sees its own gateway.
	l.sees("d1", "192.0.2.2:8080", "c1", "172.30.1.1")
	l.sees("d1", "172.30.1.1:8080", "c1", "172.30.1.1")
	l.sees("d1", "[2001:db8:2::2]:8080", "c1", "fd30:1::1")
	l.sees("c1", "192.0.2.3:9000", "lab-remote", "192.0.2.2")
	l.sees("d1", "[2001:db8:2::3]:9000", "lab-remote", "2001:db8:2::2")
	l.sees("c2", "172.30.1.2:80", "c1", "172.30.1.3")
	l.sees("c2", "[fd30:1::2]:80", "c1", "fd30:1::3")
	l.sees("H", "172.30.1.2:80", "c1", "172.30.1.1")
	l.silent("d1", "172.30.1.2:80", netlab.TimesOut)
	l.silent("d1", "[fd30:1::2]:80", netlab.TimesOut)
	for _, n := range CommonSpec().Networks {
		if err := l.topo.RouteToContainers(n.Subnet4); err != nil {
			l.Fatal(err)
		}
	}
	l.silent("R", "172.30.1.2:80", netlab.TimesOut)
	l.silent("R", "172.30.1.3:80", netlab.TimesOut)
}

// hairpin is what containers and the host see without a proxy.
func (l lab) hairpin() {
	l.Helper()
	l.sees("c1", "192.0.2.2:8080", "c1", "172.30.1.1")
	l.sees("c1", "172.30.1.1:8080", "c1", "172.30.1.1")
	l.sees("c1", "[2001:db8:2::2]:8080", "c1", "fd30:1::1")
	l.sees("c2", "192.0.2.2:8080", "c1", "172.30.1.3")
	l.sees("c2", "[2001:db8:2::2]:8080", "c1", "fd30:1::3")
	l.sees("H", "192.0.2.2:8080", "c1", "172.30.1.1")
	l.sees("H", "127.0.0.1:8080", "c1", "172.30.1.1")
	l.sees("H", "[2001:db8:2::2]:8080", "c1", "fd30:1::1")
	// ::1 cannot be routed off the host; the socket that holds the port is mute.
	l.silent("H", "[::1]:8080", netlab.TimesOut)
}

func iptablesTarget(t *testing.T, cfg IptablesConfig) *Iptables {
	t.Helper()
	behaviour.NeedRoot(t)
	target, err := NewIptables(cfg)
	if err != nil {
		t.Fatal(err)
	}
	behaviour.NeedTool(t, target.binary(IPv4, "-restore"), target.binary(IPv6, "-restore"))
	return target
}

func TestIptables(t *testing.T) {
	t.Parallel()
	for _, backend := range []Backend{NFT, Legacy} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			l := setUp(t, iptablesTarget(t, IptablesConfig{Backend: backend}))
			l.outside()
			l.hairpin()
			l.accesses("loopback ipv6")
			l.provesOthers()
			l.proof()
		})
	}
}

func TestIptablesPlainBridge(t *testing.T) {
	t.Parallel()
	l := setUp(t, iptablesTarget(t, IptablesConfig{Backend: NFT, UserlandProxy: UserlandProxy{On: true}, PlainBridge: true}))
	l.outside()
	l.userlandProxy()
	l.accesses()
	l.provesOthers()
	if _, err := NewIptables(IptablesConfig{Backend: NFT, PlainBridge: true}); err == nil {
		t.Error("hairpin rules without br_netfilter")
	}
}

// userlandProxy is what hosts and containers see through Docker's proxy.
func (l lab) userlandProxy() {
	l.Helper()
	l.sees("c1", "192.0.2.2:8080", "c1", "172.30.1.1")
	l.sees("c2", "192.0.2.2:8080", "c1", "172.30.1.1")
	l.sees("c2", "[2001:db8:2::2]:8080", "c1", "fd30:1::1")
	l.sees("H", "127.0.0.1:8080", "c1", "172.30.1.1")
	l.sees("H", "[::1]:8080", "c1", "fd30:1::1")
	// Translated on the way out, with the source that it had by then.
	l.sees("H", "192.0.2.2:8080", "c1", "192.0.2.2")
}

func TestIptablesUserlandProxy(t *testing.T) {
	t.Parallel()
	for _, backend := range []Backend{NFT, Legacy} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			l := setUp(t, iptablesTarget(t, IptablesConfig{Backend: backend, UserlandProxy: UserlandProxy{On: true}}))
			l.outside()
			l.userlandProxy()
			l.accesses()
			l.provesOthers()
			l.proof()
		})
	}
}

func TestLinear(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nft")
	t.Parallel()
	for name, on := range map[string]bool{"proxy": true, "hairpin": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setUp(t, NewLinear(UserlandProxy{On: on}))
			l.outside()
			if on {
				l.userlandProxy()
				l.accesses()
			} else {
				l.hairpin()
				l.accesses("loopback ipv6")
			}
			l.provesOthers()
			l.proof()
		})
	}
}

func TestNftables(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nft")
	t.Parallel()
	l := setUp(t, NewNftables(NftablesConfig{}))
	l.outside()
	l.hairpin()
	l.accesses("loopback ipv6")
	l.provesOthers()
	l.proof()
}

func TestPublish(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	for name, make := range map[string]func(*testing.T) Target{
		"iptables": func(t *testing.T) Target { return iptablesTarget(t, IptablesConfig{Backend: NFT}) },
		"linear":   func(*testing.T) Target { return NewLinear(UserlandProxy{}) },
		"nftables": func(*testing.T) Target { return NewNftables(NftablesConfig{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setUp(t, make(t))
			second := netip.MustParsePrefix("192.0.2.77/24")
			if err := l.topo.Host.AddAddr("eth0", second); err != nil {
				t.Fatal(err)
			}
			everywhere := []Port{{HostPort: 9090, ContainerPort: 80, Proto: "tcp"}, {HostPort: 9090, ContainerPort: 80, Proto: "udp"}}
			one := []Port{
				{HostIP: second.Addr(), HostPort: 9091, ContainerPort: 80, Proto: "tcp"},
				{HostIP: second.Addr(), HostPort: 9091, ContainerPort: 80, Proto: "udp"},
			}
			for _, p := range append(everywhere, one...) {
				if err := l.target.Publish(t.Context(), "c2", p); err != nil {
					t.Fatal(err)
				}
				if err := l.target.Publish(t.Context(), "c2", p); err == nil {
					t.Errorf("%s is published twice", p)
				}
			}
			l.sees("R", "192.0.2.2:9090", "c2", "192.0.2.3")
			l.sees("R", "[2001:db8:2::2]:9090", "c2", "2001:db8:2::3")
			l.sees("R", "192.0.2.77:9091", "c2", "192.0.2.3")
			l.silent("R", "192.0.2.2:9091", netlab.Refused)
			for _, p := range append(everywhere, one...) {
				if err := l.target.Unpublish(t.Context(), "c2", p); err != nil {
					t.Fatal(err)
				}
			}
			l.silent("R", "192.0.2.2:9090", netlab.Refused)
			l.silent("R", "192.0.2.77:9091", netlab.Refused)
			l.sees("R", "192.0.2.2:8080", "c1", "192.0.2.3")
		})
	}
}

func TestRouting(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := setUp(t, NewRouting())
	l.sees("R", "172.30.1.2:80", "c1", "192.0.2.3")
	l.sees("R", "[fd30:1::2]:80", "c1", "2001:db8:2::3")
	l.sees("c1", "192.0.2.3:9000", "lab-remote", "172.30.1.2")
	l.sees("c1", "[2001:db8:2::3]:9000", "lab-remote", "fd30:1::2")
	l.sees("c2", "172.30.1.2:80", "c1", "172.30.1.3")
	l.sees("d1", "[fd30:1::2]:80", "c1", "fd30:2::2")
	l.accesses("self ipv4", "self ipv6")
	l.provesOthers()
	l.proof()
}

func TestDirect(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := setUp(t, NewDirect())
	l.sees("R", "172.30.1.2:80", "c1", "192.0.2.3")
	l.sees("R", "[fd30:1::2]:80", "c1", "2001:db8:2::3")
	l.sees("c1", "192.0.2.3:9000", "lab-remote", "172.30.1.2")
	l.sees("c2", "172.30.1.2:80", "c1", "172.30.1.3")
	l.sees("c2", "[fd30:1::2]:80", "c1", "fd30:1::3")
	l.accesses("self ipv4", "self ipv6", "other ipv4", "other ipv6")
	l.provesOthers()
	l.proof()
}

func TestReach(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	published := CommonSpec().Networks[0].Containers[0].Publish[0]
	for _, tc := range []struct {
		target Target
		want4  string
		want6  string
	}{
		{NewNftables(NftablesConfig{}), "192.0.2.2:8080", "[2001:db8:2::2]:8080"},
		{NewRouting(), "172.30.1.2:80", "[fd30:1::2]:80"},
		{NewDirect(), "172.30.1.2:80", "[fd30:1::2]:80"},
	} {
		l := setUp(t, tc.target)
		for f, want := range map[Family]string{IPv4: tc.want4, IPv6: tc.want6} {
			got, err := tc.target.Reach("c1", published, f)
			if err != nil || got.String() != want {
				t.Errorf("%s over %s: %s, %v, want %s", tc.target.Name(), f, got, err, want)
			}
			l.sees("R", want, "c1", l.topo.RemoteAddr(got.Addr()).String())
		}
	}
}
