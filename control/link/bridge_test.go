// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/behaviour"
)

func TestBridge(t *testing.T) {
	l := newLab(t)
	info := l.bridge(bridgeSpec())
	if info.MAC.String() != mac(1).String() || info.Index == 0 {
		t.Errorf("info is %+v", info)
	}
	l.container(2)
	if again := l.bridge(bridgeSpec()); again.Index != info.Index {
		t.Errorf("a second ensure made another bridge: %+v, then %+v", info, again)
	}
	l.want(l.host, "ip link show "+bridgeName, "mtu 1500", "state UP", mac(1).String())
	l.want(l.host, "ip addr show "+bridgeName, "inet 10.77.0.1/24 brd 10.77.0.255 scope global", "inet6 fd00:77::1/64 scope global nodad")
	want := map[string]string{
		"net.ipv4.conf." + bridgeName + ".forwarding":     "1",
		"net.ipv6.conf." + bridgeName + ".forwarding":     "1",
		"net.ipv6.conf." + bridgeName + ".accept_ra":      "0",
		"net.ipv6.conf." + bridgeName + ".accept_dad":     "0",
		"net.ipv6.conf." + bridgeName + ".disable_ipv6":   "0",
		"net.ipv4.conf." + bridgeName + ".route_localnet": "0",
		"net.ipv4.ip_forward":                             "0",
		"net.ipv4.conf.default.forwarding":                "0",
		"net.ipv6.conf.all.forwarding":                    "0",
		"net.ipv6.conf.default.forwarding":                "0",
		"net.ipv6.conf.vwv000000000002.disable_ipv6":      "1",
		"net.ipv4.conf.vwv000000000002.forwarding":        "0",
	}
	for key, value := range want {
		if got, err := l.host.Sysctl(key); err != nil || got != value {
			t.Errorf("%s is %q, %v; want %q", key, got, err, value)
		}
	}
}

func TestBridgeIsRepaired(t *testing.T) {
	behaviour.Covers(t, "R06", behaviour.Both)
	l := newLab(t)
	spec := bridgeSpec()
	info := l.bridge(spec)
	ns, _ := l.container(2)
	for _, c := range []struct{ damage, look, want string }{
		{"ip addr del 10.77.0.1/24 dev " + bridgeName, "ip addr show " + bridgeName, "10.77.0.1/24"},
		{"ip addr del fd00:77::1/64 dev " + bridgeName, "ip addr show " + bridgeName, "fd00:77::1/64"},
		{"ip link set down dev " + bridgeName, "ip link show " + bridgeName, "state UP"},
		{"ip link set mtu 1300 dev " + bridgeName, "ip link show " + bridgeName, "mtu 1500"},
		{"ip link set address 02:00:00:00:00:99 dev " + bridgeName, "ip link show " + bridgeName, mac(1).String()},
		{"ip route del 10.77.0.0/24 dev " + bridgeName, "ip route show dev " + bridgeName, "10.77.0.0/24 proto kernel scope link src 10.77.0.1"},
		{"ip -6 route del fd00:77::/64 dev " + bridgeName, "ip -6 route show dev " + bridgeName, "fd00:77::/64 proto kernel metric 256"},
	} {
		l.run(l.host, c.damage)
		if again := l.bridge(spec); again.Index != info.Index {
			t.Errorf("%s: the bridge was made anew", c.damage)
		}
		l.want(l.host, c.look, c.want)
	}
	for _, key := range []string{"net.ipv4.conf." + bridgeName + ".forwarding", "net.ipv6.conf." + bridgeName + ".forwarding"} {
		if err := l.host.SetSysctl(key, "0"); err != nil {
			t.Fatal(err)
		}
		l.bridge(spec)
		if got, err := l.host.Sysctl(key); err != nil || got != "1" {
			t.Errorf("%s is %q, %v", key, got, err)
		}
	}
	l.ping(ns, gateway4.Addr(), gateway6.Addr())
	l.ping(l.host, addr4(2).Addr(), addr6(2).Addr())

	l.run(l.host, "ip link del "+bridgeName)
	l.bridge(spec)
	e := endpointSpec(ns, 2)
	l.attach(e)
	l.ping(ns, gateway4.Addr(), gateway6.Addr())
}

func TestBridgeAddresses(t *testing.T) {
	l := newLab(t)
	spec := bridgeSpec()
	l.bridge(spec)
	// Somebody else's address stays; ours goes when it is no longer wanted; a wrong length is put right.
	l.run(l.host, "ip addr add 169.254.169.254/32 dev "+bridgeName)
	l.run(l.host, "ip addr del 10.77.0.1/24 dev "+bridgeName)
	l.run(l.host, "ip addr add 10.77.0.1/16 dev "+bridgeName)
	l.bridge(spec)
	l.want(l.host, "ip addr show "+bridgeName, "10.77.0.1/24", "169.254.169.254/32")
	l.wantNone(l.host, "ip addr show "+bridgeName, "10.77.0.1/16")
	spec.Addrs = []netip.Prefix{gateway6}
	l.bridge(spec)
	l.want(l.host, "ip addr show "+bridgeName, "fd00:77::1/64", "169.254.169.254/32")
	l.wantNone(l.host, "ip addr show "+bridgeName, "10.77.0.1")
}

func TestBridgeWithoutIPv6(t *testing.T) {
	l := newLab(t)
	spec := bridgeSpec()
	spec.IPv6, spec.Addrs = false, []netip.Prefix{gateway4}
	l.bridge(spec)
	ns := newNamespace(t, "c2")
	e := endpointSpec(ns, 2)
	e.IPv6, e.Addrs = false, []netip.Prefix{addr4(2)}
	l.attach(e)
	l.wantNone(l.host, "ip addr show "+bridgeName, "inet6")
	l.wantNone(ns, "ip addr show eth0", "inet6")
	l.ping(ns, gateway4.Addr())
}

func TestBridgeRefuses(t *testing.T) {
	l := newLab(t)
	l.run(l.host, "ip link add vw-foreign type veth peer name other0")
	for name, change := range map[string]func(*control.BridgeSpec){
		"a name of somebody else's": func(b *control.BridgeSpec) { b.Name = "docker0" },
		"a foreign kind":            func(b *control.BridgeSpec) { b.Name = "vw-foreign" },
		"a path as name":            func(b *control.BridgeSpec) { b.Name = "vw/../all" },
		"a long name":               func(b *control.BridgeSpec) { b.Name = "vw-0123456789abcd" },
		"no MAC":                    func(b *control.BridgeSpec) { b.MAC = nil },
		"a group MAC":               func(b *control.BridgeSpec) { b.MAC = []byte{1, 0, 0, 0, 0, 1} },
		"an MTU below IPv6's":       func(b *control.BridgeSpec) { b.MTU = 1279 },
		"an IPv6 address without":   func(b *control.BridgeSpec) { b.IPv6 = false },
	} {
		spec := bridgeSpec()
		change(&spec)
		_, err := l.EnsureBridge(t.Context(), spec)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v", name, err)
		}
		foreign := strings.Contains(name, "foreign") || strings.Contains(name, "somebody")
		if errors.Is(err, ErrForeign) != foreign {
			t.Errorf("%s: error %v is foreign: %v", name, err, !foreign)
		}
	}
	if names, err := l.Owned(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("owned are %v, %v; none was made", names, err)
	}
}

func TestRemove(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	_, e2 := l.container(2)
	ns3, e3 := l.container(3)
	_, e4 := l.container(4)
	if err := l.RemoveEndpoint(t.Context(), control.EndpointSpec{HostName: e4.HostName}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.RemoveEndpoint(t.Context(), e2); err != nil {
			t.Fatal(err)
		}
	}
	l.wantNone(l.host, "ip neigh show dev "+bridgeName, "10.77.0.2", "fd00:77::2", "10.77.0.4", "fd00:77::4")
	l.wantNone(l.host, "bridge fdb show", mac(2).String())
	l.ping(ns3, gateway4.Addr())
	l.run(l.host, "ip tuntap add vw-tun0 mode tun") // ours by prefix, not by kind
	l.run(l.host, "ip link add vwan0 type veth peer name vwan1")
	l.run(l.host, "ip link add docker0 type bridge")
	names, err := l.Owned(t.Context())
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{bridgeName, e3.HostName}) {
		t.Errorf("owned are %v, %v", names, err)
	}
	if err := l.RemoveBridge(t.Context(), "docker0"); !errors.Is(err, ErrForeign) {
		t.Errorf("removing docker0: %v", err)
	}
	if err := l.RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names, err := l.Owned(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("left are %v, %v", names, err)
	}
	l.want(l.host, "ip link", "vw-tun0", "docker0", "vwan0", "vwan1")
	l.wantNone(ns3, "ip link", "eth0")
	for range 2 {
		if err := l.RemoveBridge(t.Context(), bridgeName); err != nil {
			t.Fatal(err)
		}
	}
}
