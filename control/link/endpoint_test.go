// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func defaultRoutes(dev string) control.DefaultRoutes {
	return control.DefaultRoutes{
		Gateway4: gateway4.Addr(), Gateway6: gateway6.Addr(), Interface4: dev, Interface6: dev,
	}
}

func TestAttachTwoContainers(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns2, e2 := l.container(2)
	ns3, _ := l.container(3)
	l.routes(e2, defaultRoutes("eth0"))
	l.ping(ns2, addr4(3).Addr(), addr6(3).Addr(), gateway4.Addr(), gateway6.Addr())
	l.ping(ns3, addr4(2).Addr(), addr6(2).Addr())
	l.ping(l.host, addr4(2).Addr(), addr6(2).Addr())
	l.want(l.host, "ip neigh show dev "+bridgeName,
		"10.77.0.2 lladdr 02:42:77:00:00:02 PERMANENT", "fd00:77::2 lladdr 02:42:77:00:00:02 PERMANENT")
	l.want(l.host, "bridge fdb show dev "+e2.HostName, "02:42:77:00:00:02 master "+bridgeName+" static")
	l.want(l.host, "bridge -d link show dev "+e2.HostName, "hairpin off", "learning on", "isolated off", "state forwarding")
	l.want(ns2, "ip route", "default via 10.77.0.1 dev eth0 proto static")
	l.want(ns2, "ip -6 route", "default via fd00:77::1 dev eth0 proto static")
	l.want(ns2, "ip addr show eth0", "inet 10.77.0.2/24 brd 10.77.0.255", "inet6 fd00:77::2/64 scope global nodad", mac(2).String())
	for key, value := range map[string]string{
		"net.ipv6.conf.eth0.accept_ra": "0", "net.ipv6.conf.eth0.accept_dad": "0", "net.ipv6.conf.all.accept_ra": "1",
	} {
		if got, err := ns2.Sysctl(key); err != nil || got != value {
			t.Errorf("%s is %q, %v; want %q", key, got, err, value)
		}
	}
}

// TestHostEndStaysDown: no packet may pass before the programs are attached.
func TestHostEndStaysDown(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns := newNamespace(t, "c2")
	e := endpointSpec(ns, 2)
	for range 2 {
		info, err := l.EnsureEndpoint(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		host, err := l.host.Link(e.HostName)
		if err != nil {
			t.Fatal(err)
		}
		if host.Up || host.Index != info.HostIndex || info.ContainerName != "eth0" {
			t.Errorf("host end %+v, info %+v", host, info)
		}
	}
	l.attach(e)
	l.ping(ns, gateway4.Addr())
}

func TestContainerName(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns := newNamespace(t, "c")
	l.run(ns, "ip link add eth1 type bridge")
	l.run(ns, "ip link property add dev eth1 altname eth2")
	for i, want := range []string{"eth0", "eth3", "eth4"} {
		if info := l.attach(endpointSpec(ns, byte(2+i))); info.ContainerName != want {
			t.Errorf("interface %d is %s, want %s", i, info.ContainerName, want)
		}
	}
	e := endpointSpec(ns, 9)
	e.ContainerName = "eth3"
	_, err := l.EnsureEndpoint(t.Context(), e)
	if err == nil || !strings.Contains(err.Error(), "eth3 already") {
		t.Errorf("a taken name: %v", err)
	}
	if _, err := l.host.Link(e.HostName); err == nil {
		t.Error("the failed endpoint left its host end behind")
	}
	e.ContainerName = "lan0"
	l.attach(e)
	e.ContainerName = "wan0"
	if info := l.attach(e); info.ContainerName != "wan0" {
		t.Errorf("renamed to %s", info.ContainerName)
	}
	l.want(ns, "ip addr show wan0", "10.77.0.9/24", "fd00:77::9/64", "UP")
}

func TestEndpointIsRepaired(t *testing.T) {
	behaviour.Covers(t, "R06", behaviour.Both)
	l := newLab(t)
	l.bridge(bridgeSpec())
	l.run(l.host, "ip link add vw-other type bridge")
	ns, e := l.container(2)
	r := defaultRoutes("eth0")
	repair := func() {
		t.Helper()
		l.bridge(bridgeSpec())
		l.attach(e)
		l.routes(e, r)
	}
	repair()
	br := bridgeName
	for _, c := range []struct {
		in     *netlab.Namespace
		damage string
		look   string
		want   string
	}{
		{ns, "ip addr del 10.77.0.2/24 dev eth0", "ip addr show eth0", "10.77.0.2/24"},
		{ns, "ip addr del fd00:77::2/64 dev eth0", "ip addr show eth0", "fd00:77::2/64"},
		{ns, "ip addr flush dev eth0", "ip addr show eth0", "fd00:77::2/64"},
		{ns, "ip link set down dev eth0", "ip addr show eth0", "fd00:77::2/64"},
		{ns, "ip link set down dev lo", "ip link show lo", "UP"},
		{ns, "ip link set mtu 1400 dev eth0", "ip link show eth0", "mtu 1500"},
		{ns, "ip link set address 02:00:00:00:00:99 dev eth0", "ip link show eth0", mac(2).String()},
		{ns, "ip route del 10.77.0.0/24 dev eth0", "ip route", "10.77.0.0/24 dev eth0 proto kernel scope link src 10.77.0.2"},
		{ns, "ip -6 route del fd00:77::/64 dev eth0", "ip -6 route", "fd00:77::/64 dev eth0 proto kernel metric 256"},
		{ns, "ip route del default", "ip route", "default via 10.77.0.1 dev eth0"},
		{ns, "ip -6 route del default", "ip -6 route", "default via fd00:77::1 dev eth0"},
		{ns, "ip route replace default via 10.77.0.77", "ip route", "default via 10.77.0.1 dev eth0"},
		{ns, "ip link del eth0", "ip addr show eth0", "10.77.0.2/24"},
		{l.host, "ip link del " + e.HostName, "ip link show " + e.HostName, "state UP"},
		{l.host, "ip link set down dev " + e.HostName, "ip link show " + e.HostName, "state UP"},
		{l.host, "ip link set nomaster dev " + e.HostName, "ip link show " + e.HostName, "master " + br},
		{l.host, "ip link set master vw-other dev " + e.HostName, "ip link show " + e.HostName, "master " + br},
		{l.host, "ip link set mtu 1400 dev " + e.HostName, "ip link show " + e.HostName, "mtu 1500"},
		{l.host, "ip neigh del 10.77.0.2 dev " + br, "ip neigh show dev " + br, "10.77.0.2 lladdr 02:42:77:00:00:02 PERMANENT"},
		{l.host, "ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:66 dev " + br, "ip neigh show dev " + br, "10.77.0.2 lladdr 02:42:77:00:00:02 PERMANENT"},
		{l.host, "ip neigh del fd00:77::2 dev " + br, "ip neigh show dev " + br, "fd00:77::2 lladdr 02:42:77:00:00:02 PERMANENT"},
		{l.host, "bridge fdb del 02:42:77:00:00:02 dev " + e.HostName + " master", "bridge fdb show dev " + e.HostName, "02:42:77:00:00:02 master " + br + " static"},
		{l.host, "ip link del " + br, "ip addr show " + br, "10.77.0.1/24"},
	} {
		l.run(c.in, c.damage)
		repair()
		l.want(c.in, c.look, c.want)
		l.ping(ns, gateway4.Addr(), gateway6.Addr())
		if t.Failed() {
			t.Fatalf("not repaired: %s", c.damage)
		}
	}
	for _, key := range []string{"accept_ra", "disable_ipv6"} {
		if err := ns.SetSysctl("net.ipv6.conf.eth0."+key, "1"); err != nil {
			t.Fatal(err)
		}
	}
	repair()
	l.ping(ns, gateway4.Addr(), gateway6.Addr())
}

func TestEndpointFollowsItsSpec(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns, e := l.container(2)
	l.run(ns, "ip addr add 10.88.0.200/24 dev eth0") // the container's own affair
	e.Addrs = []netip.Prefix{addr4(7)}
	l.attach(e)
	l.want(ns, "ip addr show eth0", "10.77.0.7/24", "10.88.0.200/24")
	l.wantNone(ns, "ip addr show eth0", "10.77.0.2/24", "fd00:77::2")
	l.want(l.host, "ip neigh show dev "+bridgeName, "10.77.0.7 lladdr 02:42:77:00:00:02 PERMANENT")
	l.wantNone(l.host, "ip neigh show dev "+bridgeName, "10.77.0.2 ", "fd00:77::2")

	// The same endpoint in another namespace: the container was started again.
	again := newNamespace(t, "again")
	e.Namespace = control.NamespaceRef{Path: again.Path(), Cookie: again.Cookie()}
	l.attach(e)
	l.wantNone(ns, "ip link", "eth0")
	l.ping(again, gateway4.Addr())
}

func TestSingleFamilyAndPointToPoint(t *testing.T) {
	for _, c := range []struct {
		name            string
		gateway, addr   string
		family          string
		mtu             int
		wantAddr, route string
	}{
		{"IPv6 only", "fd00:99::1/64", "fd00:99::2/64", behaviour.IPv6, 1280, "inet6 fd00:99::2/64", "default via fd00:99::1"},
		{"/31", "10.99.0.0/31", "10.99.0.1/31", behaviour.IPv4, 576, "inet 10.99.0.1/31 scope global", "default via 10.99.0.0"},
		{"/127", "fd00:99::/127", "fd00:99::1/127", behaviour.IPv6, 9000, "inet6 fd00:99::1/127", "default via fd00:99::"},
	} {
		t.Run(c.name, func(t *testing.T) {
			behaviour.Covers(t, "D29", c.family)
			l := newLab(t)
			gateway, addr := netip.MustParsePrefix(c.gateway), netip.MustParsePrefix(c.addr)
			b := bridgeSpec()
			b.Addrs, b.MTU, b.IPv6 = []netip.Prefix{gateway}, c.mtu, addr.Addr().Is6()
			l.bridge(b)
			ns := newNamespace(t, "c")
			e := endpointSpec(ns, 2)
			e.Addrs, e.MTU, e.IPv6 = []netip.Prefix{addr}, c.mtu, b.IPv6
			l.attach(e)
			r, show := control.DefaultRoutes{Gateway4: gateway.Addr(), Interface4: "eth0"}, "ip route"
			if b.IPv6 {
				r, show = control.DefaultRoutes{Gateway6: gateway.Addr(), Interface6: "eth0"}, "ip -6 route"
			}
			l.routes(e, r)
			mtu := fmt.Sprintf("mtu %d ", c.mtu)
			l.want(ns, "ip addr show eth0", c.wantAddr, mtu, "link/ether "+mac(2).String())
			l.want(ns, show, c.route)
			l.want(l.host, "ip link show "+e.HostName, mtu)
			l.want(l.host, "ip link show "+bridgeName, mtu)
			l.ping(ns, gateway.Addr())
			l.ping(l.host, addr.Addr())
		})
	}
}

func TestOffloadsStayOn(t *testing.T) {
	behaviour.NeedTool(t, "ethtool")
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns, e := l.container(2)
	for dev, in := range map[string]*netlab.Namespace{"eth0": ns, e.HostName: l.host, bridgeName: l.host} {
		l.want(in, "ethtool -k "+dev,
			"\ntcp-segmentation-offload: on", "\ngeneric-segmentation-offload: on", "\ntx-checksumming: on")
	}
}

func TestNamespaceThatVanished(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns, e := l.container(2)
	path := ns.Path()
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"ensure":   func() error { _, err := l.EnsureEndpoint(t.Context(), e); return err }(),
		"activate": l.ActivateEndpoint(t.Context(), e),
		"routes":   l.SetDefaultRoutes(t.Context(), e.Namespace, defaultRoutes("eth0")),
	} {
		if !errors.Is(err, control.ErrNamespaceGone) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := l.RemoveEndpoint(t.Context(), e); err != nil {
		t.Error(err)
	}
	// Another namespace under the old path is not the endpoint's.
	other := newNamespace(t, "successor")
	e.Namespace.Path = other.Path()
	if _, err := l.EnsureEndpoint(t.Context(), e); !errors.Is(err, control.ErrNamespaceGone) {
		t.Errorf("a successor under the same path: %v", err)
	}
	// What an unmounted bind mount leaves behind.
	e.Namespace.Path = t.TempDir() + "/empty"
	if err := os.WriteFile(e.Namespace.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.EnsureEndpoint(t.Context(), e); !errors.Is(err, control.ErrNamespaceGone) {
		t.Errorf("an empty file: %v", err)
	}
	l.wantNone(other, "ip link", "eth0")
}

func TestEndpointRefuses(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns := newNamespace(t, "c")
	l.run(l.host, "ip link add vwvforeign type bridge")
	for name, change := range map[string]func(*control.EndpointSpec){
		"no bridge":              func(e *control.EndpointSpec) { e.Bridge = "vw-missing" },
		"somebody else's bridge": func(e *control.EndpointSpec) { e.Bridge = "docker0" },
		"a foreign host end":     func(e *control.EndpointSpec) { e.HostName = "vwvforeign" },
		"the host's namespace":   func(e *control.EndpointSpec) { e.Namespace = control.NamespaceRef{Path: l.host.Path()} },
		"a bad interface name":   func(e *control.EndpointSpec) { e.ContainerName = "a/b" },
		"a group MAC":            func(e *control.EndpointSpec) { e.MAC = []byte{1, 0, 0, 0, 0, 1} },
	} {
		e := endpointSpec(ns, 2)
		change(&e)
		if _, err := l.EnsureEndpoint(t.Context(), e); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	l.wantNone(ns, "ip link", "eth0")
}
