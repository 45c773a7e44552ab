// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// One lab serves all tests: none of them changes its interfaces, but for those
// that put the routes back.
var theLab = sync.OnceValues(newLab)

var labMade bool

func TestMain(m *testing.M) {
	code := m.Run()
	if theArena != nil {
		theArena.close()
	}
	if labMade {
		l, err := theLab()
		if err == nil {
			err = l.close()
		}
		if err = errors.Join(err, netlab.CheckLeaks()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// network is a container network, and what its flags in the map are.
type network struct {
	id       uint16
	bridge   string
	subnet4  netip.Prefix
	subnet6  netip.Prefix
	gateway4 netip.Addr
	gateway6 netip.Addr
	flags    uint32
	snat4    netip.Addr
	snat6    netip.Addr

	ifindex uint32
	mac     mac
}

// container is an endpoint. Its veth's host end has its name.
type container struct {
	name    string
	network *network
	addr4   netip.Addr
	addr6   netip.Addr
	slot    uint32

	ifindex uint32 // of the veth's host end
	mac     mac    // the container's own
}

// uplink is an interface to the outside.
type uplink struct {
	name         string
	ifindex      uint32
	mac          mac
	host4, host6 netip.Addr
}

// lab is a host with its networks, containers and uplinks.
type lab struct {
	topo       *netlab.Topology
	host       *netlab.Namespace
	networks   []*network
	containers map[string]*container
	uplinks    map[string]*uplink
	world      *world // the shared one
}

// What networks are, as their entry in the map has it.
const (
	internal   = uint32(maps.NetworkInternal)
	noICC      = uint32(maps.NetworkNoICC)
	masquerade = uint32(maps.NetworkMasquerade4 | maps.NetworkMasquerade6)
)

// Addresses of the host that only a route can name as its source.
var preferred4, preferred6 = netip.MustParseAddr("192.0.2.22"), netip.MustParseAddr("2001:db8:22::22")

func newLab() (*lab, error) {
	labMade = true
	topo, err := netlab.New(netlab.Config{Name: "packet"})
	if err != nil {
		return nil, err
	}
	l := &lab{topo: topo, host: topo.Host, containers: map[string]*container{}, uplinks: map[string]*uplink{}}
	if err := l.build(); err != nil {
		return nil, errors.Join(err, topo.Close())
	}
	return l, nil
}

func (l *lab) close() error {
	if l.world != nil {
		l.world.close()
	}
	return l.topo.Close()
}

func (l *lab) build() error {
	err := errors.Join(l.host.SetSysctl("net.ipv4.ip_forward", "1"), l.host.SetSysctl("net.ipv6.conf.all.forwarding", "1"))
	if err != nil {
		return err
	}
	if _, err := l.topo.AddUplink(); err != nil {
		return err
	}
	err = errors.Join(l.host.AddAddr("lo", netip.PrefixFrom(preferred4, 32)), l.host.AddAddr("lo", netip.PrefixFrom(preferred6, 128)))
	if err != nil {
		return err
	}
	for _, u := range l.topo.Uplinks {
		if err := l.addUplink(u.Dev, u.Host4.Addr(), u.Host6.Addr()); err != nil {
			return err
		}
	}
	pen, err := l.topo.AddContainer("containers")
	if err != nil {
		return err
	}
	for _, spec := range []struct {
		network    network
		containers []string
	}{
		{network{bridge: "one", flags: masquerade}, []string{"c1", "c2"}},
		{network{bridge: "two", flags: masquerade}, []string{"d1"}},
		{network{bridge: "inner", flags: masquerade | internal}, []string{"i1"}},
		{network{bridge: "plain"}, []string{"p1"}},
		{network{bridge: "fixed", flags: masquerade,
			snat4: netip.MustParseAddr("192.0.2.77"), snat6: netip.MustParseAddr("2001:db8:2::77")}, []string{"f1"}},
		{network{bridge: "quiet", flags: masquerade | noICC}, []string{"q1", "q2"}},
		{network{bridge: "vpn", flags: masquerade, subnet4: tunnelNet4, subnet6: tunnelNet6}, []string{"v1"}},
	} {
		if err := l.addNetwork(pen, &spec.network, spec.containers); err != nil {
			return err
		}
	}
	return l.addTunnel(pen)
}

func (l *lab) addUplink(dev string, host4, host6 netip.Addr) error {
	link, err := l.host.Link(dev)
	l.uplinks[dev] = &uplink{name: dev, ifindex: uint32(link.Index), mac: toMAC(link.MAC), host4: host4, host6: host6}
	return err
}

func (l *lab) addNetwork(pen *netlab.Namespace, n *network, containers []string) error {
	n.id, n.bridge = uint16(len(l.networks)+1), "br-"+n.bridge
	if !n.subnet4.IsValid() {
		n.subnet4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 30, byte(n.id), 0}), 24)
		n.subnet6 = netip.MustParsePrefix(fmt.Sprintf("fd30:%d::/64", n.id))
	}
	n.gateway4, n.gateway6 = n.subnet4.Addr().Next(), n.subnet6.Addr().Next()
	err := errors.Join(l.host.AddBridge(n.bridge),
		l.host.AddAddr(n.bridge, netip.PrefixFrom(n.gateway4, 24)), l.host.AddAddr(n.bridge, netip.PrefixFrom(n.gateway6, 64)))
	if err != nil {
		return err
	}
	addr4, addr6 := n.gateway4, n.gateway6
	for _, c := range containers {
		addr4, addr6 = addr4.Next(), addr6.Next()
		if err := l.addContainer(pen, c, n, addr4, addr6); err != nil {
			return err
		}
	}
	// A bridge takes its MAC from its ports.
	link, err := l.host.Link(n.bridge)
	n.ifindex, n.mac = uint32(link.Index), toMAC(link.MAC)
	l.networks = append(l.networks, n)
	return err
}

func (l *lab) addContainer(pen *netlab.Namespace, name string, n *network, addr4, addr6 netip.Addr) error {
	if err := l.host.AddVeth(name, pen, name); err != nil {
		return err
	}
	if err := l.host.SetMaster(name, n.bridge); err != nil {
		return err
	}
	hostEnd, err := l.host.Link(name)
	if err != nil {
		return err
	}
	own, err := pen.Link(name)
	l.containers[name] = &container{
		name: name, network: n, addr4: addr4, addr6: addr6, slot: uint32(100 + len(l.containers)),
		ifindex: uint32(hostEnd.Index), mac: toMAC(own.MAC),
	}
	return err
}

func toMAC(b []byte) (m mac) {
	copy(m[:], b)
	return m
}

// inLab runs f as a subtest on a thread inside the host's namespace.
func inLab(t *testing.T, name string, f func(t *testing.T, l *lab)) {
	t.Helper()
	behaviour.NeedRoot(t)
	l, err := theLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Run(name, func(t *testing.T) {
		if err := l.host.Do(func() error { f(t, l); return nil }); err != nil {
			t.Fatal(err)
		}
	})
}
