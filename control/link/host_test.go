// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func (l *lab) facts() control.HostFacts {
	l.Helper()
	facts, err := l.Host(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return facts
}

func TestHostUplinks(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	l.container(2)
	for _, command := range []string{
		"ip link add up0 address 02:00:00:00:00:10 mtu 9000 type veth peer name down0",
		"ip link add docker0 type bridge",
		"ip link set down0 master docker0",
		"ip link add onbridge0 type veth peer name extra0",
		"ip link set onbridge0 master " + bridgeName,
		"ip tuntap add tun0 mode tun",
		"ip link set up0 up",
		"ip addr add 169.254.3.3/16 dev up0 scope link",
		"ip addr add 192.0.2.10/24 dev up0",
		"ip addr add 192.0.2.11/24 dev up0",
		"ip addr add 2001:db8::9/64 dev up0 nodad preferred_lft 0",
		"ip addr add 2001:db8::10/64 dev up0 nodad",
	} {
		l.run(l.host, command)
	}
	got := map[string]control.UplinkFacts{}
	for _, up := range l.facts().Uplinks {
		got[up.Name] = up
	}
	for name, ethernet := range map[string]bool{"up0": true, "docker0": true, "extra0": true, "tun0": false} {
		if up, ok := got[name]; !ok || up.Ethernet != ethernet {
			t.Errorf("uplink %s: found %v, facts %+v", name, ok, up)
		}
	}
	for _, name := range []string{"lo", bridgeName, "vwv000000000002", "down0", "onbridge0"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s counts as an uplink", name)
		}
	}
	up := got["up0"]
	want := "[192.0.2.10 2001:db8::10 192.0.2.11 2001:db8::9 169.254.3.3]"
	if up.MTU != 9000 || fmt.Sprint(up.Addrs) != want {
		t.Errorf("up0 has MTU %d, addresses %v; want 9000, %s", up.MTU, up.Addrs, want)
	}
}

func TestHostAddrs(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	l.container(2)
	for _, command := range []string{
		"ip link add up0 type veth peer name down0",
		"ip link add docker0 type bridge",
		"ip link set down0 master docker0",
		"ip link set up0 up",
		"ip addr add 192.0.2.10/24 dev up0",
		"ip addr add 172.17.0.1/16 dev docker0",
		"ip addr add 10.9.9.9/32 dev lo",
		"ip addr add 2001:db8::9/64 dev up0 nodad",
	} {
		l.run(l.host, command)
	}
	got := fmt.Sprint(l.facts().Addrs)
	want := "[{10.9.9.9/32 lo} {127.0.0.1/8 lo} {172.17.0.1/16 docker0} {192.0.2.10/24 up0} {::1/128 lo} {2001:db8::9/64 up0}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestIsUplink has the kinds that the machine at hand may lack.
func TestIsUplink(t *testing.T) {
	for _, c := range []struct {
		name, encap, master string
		link                netlink.Link
		want                bool
	}{
		{"eth0", "ether", "", &netlink.Device{}, true},
		{"eth0", "ether", "bridge", &netlink.Device{}, false},
		{"eth0", "ether", "bond", &netlink.Device{}, false},
		{"eth0", "ether", "openvswitch", &netlink.Device{}, false},
		{"eth0", "ether", "vrf", &netlink.Device{}, true},
		{"bond0", "ether", "", &netlink.Bond{}, true},
		{"red", "ether", "", &netlink.Vrf{}, true},
		{"wg0", "none", "", &netlink.Wireguard{}, true},
		{"ppp0", "ppp", "", &netlink.Device{}, true},
		{"ifb0", "ether", "", &netlink.Ifb{}, false},
		{"can0", "can", "", &netlink.Device{}, false},
		{"nlmon0", "netlink", "", &netlink.Device{}, false},
		{"vw-000000000001", "ether", "", &netlink.Bridge{}, false},
		{"vwv000000000001", "ether", "", &netlink.Veth{}, false},
		{"vwan0", "ether", "", &netlink.Veth{}, true},
		{"vw-tun0", "none", "", &netlink.Tuntap{}, true},
	} {
		attrs := c.link.Attrs()
		attrs.Name, attrs.EncapType = c.name, c.encap
		if c.master != "" {
			attrs.MasterIndex = 7
		}
		if got := isUplink(c.link, c.master); got != c.want {
			t.Errorf("%s, encapsulation %s, master %q: %v, want %v", c.name, c.encap, c.master, got, c.want)
		}
	}
}

func TestHostPrefixes(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	for _, command := range []string{
		"ip link add up0 type veth peer name down0",
		"ip link set up0 up",
		"ip link set down0 up",
		"ip addr add 192.0.2.10/24 dev up0",
		"ip addr add 2001:db8::10/64 dev up0 nodad",
		"ip route add default via 192.0.2.1",
		"ip route add 10.9.0.0/16 via 192.0.2.1",
		"ip route add 10.8.0.0/16 nexthop via 192.0.2.1 nexthop via 192.0.2.2",
		"ip route add 10.7.0.0/16 dev up0 table 77",
		"ip -6 route add 2001:db8:9::/48 via 2001:db8::1",
		"ip route add local 198.51.100.0/24 dev lo table 55",
		"ip -6 route add local 2001:db8:55::/48 dev lo",
		"ip route add unreachable 172.16.0.0/12",
	} {
		l.run(l.host, command)
	}
	facts := l.facts()
	for _, p := range []string{
		"127.0.0.0/8", "127.0.0.1/32", "::1/128", "192.0.2.10/32", "2001:db8::10/128", "10.77.0.1/32", "fd00:77::1/128",
		"198.51.100.0/24", "2001:db8:55::/48",
	} {
		if !slices.Contains(facts.Locals, netip.MustParsePrefix(p)) {
			t.Errorf("%s is not local: %v", p, facts.Locals)
		}
	}
	want := "[10.7.0.0/16 10.8.0.0/16 10.9.0.0/16 192.0.2.0/24 2001:db8::/64 2001:db8:9::/48]"
	if got := fmt.Sprint(facts.Routes); got != want {
		t.Errorf("routes are\n%s, want\n%s", got, want)
	}
	if again := l.facts(); !reflect.DeepEqual(facts, again) {
		t.Errorf("two surveys of the same host differ:\n%+v\n%+v", facts, again)
	}
}

func TestHostPorts(t *testing.T) {
	l := newLab(t)
	for key, value := range map[string]string{
		"net.ipv4.ip_local_port_range": "40000 50000", "net.ipv4.ip_local_reserved_ports": "8080,9148-9150",
	} {
		if err := l.host.SetSysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	listen(t, l.host, "127.0.0.1:8443")
	listen(t, l.host, "127.0.0.1:45000")
	udp, err := l.host.ListenPacket(t.Context(), netip.MustParseAddrPort("127.0.0.1:5353"))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	// A connection by a port that the kernel chose, and one by a port that was asked for.
	for _, from := range []string{"127.0.0.1:0", "127.0.0.1:2049"} {
		c, err := l.host.DialFrom(t.Context(), "tcp", netip.MustParseAddrPort(from), netip.MustParseAddrPort("127.0.0.1:8443"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	facts := l.facts()
	if facts.PortRange != [2]uint16{40000, 50000} {
		t.Errorf("port range is %v", facts.PortRange)
	}
	if want := []control.PortSpan{{First: 8080, Last: 8080}, {First: 9148, Last: 9150}}; !slices.Equal(facts.ReservedPorts, want) {
		t.Errorf("reserved ports are %v, want %v", facts.ReservedPorts, want)
	}
	want := []control.HostPort{
		{Proto: unix.IPPROTO_TCP, Port: 2049}, {Proto: unix.IPPROTO_TCP, Port: 8443}, {Proto: unix.IPPROTO_TCP, Port: 45000},
		{Proto: unix.IPPROTO_UDP, Port: 5353},
	}
	if !slices.Equal(facts.Bound, want) {
		t.Errorf("bound ports are %v, want %v", facts.Bound, want)
	}
}

// listen binds as a daemon does, without SO_REUSEADDR's help.
func listen(t *testing.T, ns *netlab.Namespace, at string) net.Listener {
	t.Helper()
	l, err := ns.Listen(t.Context(), netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestPortOwner(t *testing.T) {
	l := newLab(t)
	l.run(l.host, "ip addr add 192.0.2.10/32 dev lo")
	listen(t, l.host, "192.0.2.10:80")
	listen(t, newNamespace(t, "elsewhere"), "0.0.0.0:81")
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	dual := bindDual(t, l.host, 82)
	defer unix.Close(dual)
	if err := unix.Listen(dual, 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr  string
		port  uint16
		owned string
	}{
		{"192.0.2.10", 80, "192.0.2.10:80"},
		{"0.0.0.0", 80, "192.0.2.10:80"},
		{"127.0.0.1", 80, ""},
		{"::", 80, ""},
		{"0.0.0.0", 81, ""},
		{"0.0.0.0", 82, "[::]:82"},
		{"192.0.2.10", 82, "[::]:82"},
		{"::1", 82, "[::]:82"},
		{"0.0.0.0", 83, ""},
	} {
		owner, found, err := l.PortOwner(t.Context(), unix.IPPROTO_TCP, netip.MustParseAddr(c.addr), c.port)
		if err != nil {
			t.Fatal(err)
		}
		if found != (c.owned != "") || found && owner.Addr.String() != c.owned {
			t.Errorf("owner of %s port %d: %v, %+v; want %q", c.addr, c.port, found, owner, c.owned)
		}
		if found && (owner.PID != os.Getpid() || owner.Command != strings.TrimSpace(string(comm))) {
			t.Errorf("owner of %s port %d is %+v, not this process", c.addr, c.port, owner)
		}
	}
}

// TestPortOwnerOfBound: a port is taken from the bind on, before anybody listens.
func TestPortOwnerOfBound(t *testing.T) {
	behaviour.NeedLinux(t, 6, 8, "listing sockets that are bound and do not listen")
	l := newLab(t)
	fd := bindDual(t, l.host, 82)
	defer unix.Close(fd)
	owner, found, err := l.PortOwner(t.Context(), unix.IPPROTO_TCP, netip.MustParseAddr("192.0.2.10"), 82)
	if err != nil || !found || owner.Addr.String() != "[::]:82" || owner.PID != os.Getpid() {
		t.Errorf("owner %+v, %v, %v", owner, found, err)
	}
}

// bindDual binds a TCP socket to the IPv6 wildcard for both families, and does not listen.
func bindDual(t *testing.T, ns *netlab.Namespace, port int) int {
	t.Helper()
	fd := -1
	err := ns.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet6{Port: port})
	})
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// A veth is asked, as the tests have no device: it is not taken for one.
func TestDrivers(t *testing.T) {
	l := newLab(t)
	l.run(l.host, "ip link add up0 type veth peer name down0")
	if got, err := l.driver("up0"); err != nil || got != "veth" {
		t.Errorf("the driver of a veth: %q, %v", got, err)
	}
	if got, err := l.driver("none0"); err == nil {
		t.Errorf("the driver of nothing: %q", got)
	}
	for _, up := range l.facts().Uplinks {
		if up.Driver != "" {
			t.Errorf("%s is taken for a device of driver %s", up.Name, up.Driver)
		}
	}
}
