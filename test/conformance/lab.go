// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// The targets, in the order of the report's columns.
const (
	Vethway = "vethway"
	NFNAT   = "nf_nat"
	Router  = "router"
)

// Targets lists them.
func Targets() []string { return []string{Vethway, NFNAT, Router} }

// LabConfig is what a case needs that not every lab has. Cases with the same share a lab.
type LabConfig struct {
	// Pool is the range of external ports, "FIRST-LAST", where the target can be told.
	Pool string
	// UplinkMTU is that of the wire between host and R.
	UplinkMTU int
	// NoOffload has the host cut packets to size and fill in checksums before they reach the uplink's wire.
	NoOffload bool
	// Flags are more flags for vethwayd, separated by spaces.
	Flags string
	// Open adds z1, on a network whose mappings let everybody in.
	Open bool
	// Uplink says which way leads to the peers; empty: eth0, the only one. See uplink.go.
	Uplink string
	// Own names a lab that is not to be shared with other cases.
	Own string
}

// Lab is a target, set up between containers and R.
type Lab struct {
	Name     string
	Config   LabConfig
	Topology *netlab.Topology
	Target   rivals.Target

	inside   map[string]*station
	outside  *station
	way      way // to the peers
	nextPort atomic.Uint32
	nextPeer atomic.Uint32
	closers  []func() error
}

// station is a tap, and who sits behind it.
type station struct {
	name         string
	tap          *wire.Tap
	addr4, addr6 netip.Addr
}

// deaf names the containers whose kernels hear nothing.
func deaf() []string { return []string{"x1", "x2", "y1"} }

// Peers have addresses of 198.18.0.0/15 and of 2001:db8:ff::/64.
const peers4, peers6 = "198.18.0.0/15", "2001:db8:ff::/64"

// firstPort is where Port begins: in every target's range of external ports.
const firstPort = 2000

// portR is where R's server listens, and portC1 c1's, which is published.
const portR, portC1 = 9000, 80

// publishedX1 is the port of the host that leads to x1's port 81.
const publishedX1, portX1 = 8081, 81

// spec is the common one, with the deaf containers.
func spec() rivals.Spec {
	s := rivals.CommonSpec()
	add := func(network int, name, ip4, ip6 string, ports ...rivals.Port) {
		n := &s.Networks[network]
		n.Containers = append(n.Containers, rivals.Container{
			Name: name, IP4: netip.MustParseAddr(ip4), IP6: netip.MustParseAddr(ip6), Publish: ports,
		})
	}
	add(0, "x1", "172.30.1.11", "fd30:1::11",
		rivals.Port{HostPort: publishedX1, ContainerPort: portX1, Proto: "tcp"},
		rivals.Port{HostPort: publishedX1, ContainerPort: portX1, Proto: "udp"})
	add(0, "x2", "172.30.1.12", "fd30:1::12")
	add(1, "y1", "172.30.2.11", "fd30:2::11")
	return s
}

// newLab sets a target up. program is vethwayd's path.
func newLab(ctx context.Context, target string, cfg LabConfig, program string) (*Lab, error) {
	l := &Lab{Name: target, Config: cfg, inside: map[string]*station{}}
	l.nextPort.Store(firstPort)
	if err := l.setUp(ctx, program); err != nil {
		return nil, errors.Join(fmt.Errorf("set up the lab of %s: %w", target, err), l.Close())
	}
	return l, nil
}

func (l *Lab) setUp(ctx context.Context, program string) (err error) {
	if l.Topology, err = netlab.New(netlab.Config{Name: "conformance-" + l.Name}); err != nil {
		return err
	}
	l.onClose(l.Topology.Close)
	if err := l.prepareHost(ctx); err != nil {
		return err
	}
	if l.Target, err = newTarget(l.Name, l.Config, program); err != nil {
		return err
	}
	l.onClose(l.Target.Close)
	if err := l.Target.Setup(ctx, l.Topology, spec()); err != nil {
		return err
	}
	return errors.Join(l.openTaps(ctx), l.serve(ctx))
}

// serve starts the servers of the cases that use sockets, once: a program that another case starts at the wrong moment
// holds a closed listener's port for a little longer.
func (l *Lab) serve(ctx context.Context) error {
	for ns, port := range map[*netlab.Namespace]uint16{l.Topology.Remote: portR, l.Target.Container("c1"): portC1} {
		s, err := netlab.Whoami(ctx, ns, netlab.ServerConfig{Port: port})
		if err != nil {
			return err
		}
		l.onClose(s.Close)
	}
	return nil
}

func newTarget(name string, cfg LabConfig, program string) (rivals.Target, error) {
	switch name {
	case Vethway:
		c := rivals.VethwayConfig{Program: program}
		if cfg.Pool != "" {
			c.Flags = append(c.Flags, "--nat-ports="+cfg.Pool)
		}
		c.Flags = append(c.Flags, strings.Fields(cfg.Flags)...)
		return rivals.NewVethway(c)
	case NFNAT:
		return rivals.NewIptables(rivals.IptablesConfig{Backend: rivals.NFT})
	case Router:
		return rivals.NewRouting(), nil
	}
	return nil, fmt.Errorf("no target %q", name)
}

// prepareHost has the host answer every packet that it should: one a second to each sender would hide the rest.
func (l *Lab) prepareHost(ctx context.Context) error {
	host, remote := l.Topology.Host, l.Topology.Remote
	err := errors.Join(host.SetSysctl("net.ipv4.icmp_ratelimit", "0"), host.SetSysctl("net.ipv6.icmp.ratelimit", "0"))
	if mtu := l.Config.UplinkMTU; mtu != 0 {
		err = errors.Join(err, host.SetMTU("eth0", mtu), remote.SetMTU("eth0", mtu))
	}
	if l.Config.NoOffload {
		_, offErr := host.Run(ctx, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "tx-udp-segmentation", "off")
		err = errors.Join(err, offErr)
	}
	return errors.Join(err, l.openWay(ctx))
}

func (l *Lab) openTaps(ctx context.Context) error {
	var err error
	if l.outside, err = l.station(l.way.remote, "R", l.way.dev, l.way.mac); err != nil {
		return err
	}
	// R would answer for the peers that it does not know them.
	if err := deafen(ctx, l.way.remote, "ip daddr "+peers4, "ip6 daddr "+peers6); err != nil {
		return err
	}
	for _, name := range deaf() {
		n, c, err := spec().Container(name)
		if err != nil {
			return err
		}
		err = l.openInside(ctx, l.Target.Container(name), name, n.Gateway4, c.IP4, c.IP6)
		if err != nil {
			return err
		}
	}
	if v, ok := l.Target.(*rivals.Vethway); ok && l.Config.Open {
		ns, err := l.addOpen(ctx, v)
		if err != nil {
			return err
		}
		return l.openInside(ctx, ns, "z1", openGateway4, z1Addr4, z1Addr6)
	}
	return nil
}

// openInside makes a container deaf and opens its tap.
func (l *Lab) openInside(ctx context.Context, ns *netlab.Namespace, name string, gateway, addr4, addr6 netip.Addr) error {
	mac, err := l.gatewayMAC(gateway)
	if err != nil {
		return err
	}
	if err := deafen(ctx, ns); err != nil {
		return err
	}
	s, err := l.station(ns, name, "eth0", mac)
	if err != nil {
		return err
	}
	s.addr4, s.addr6 = addr4, addr6
	l.inside[name] = s
	return nil
}

func (l *Lab) station(ns *netlab.Namespace, name, dev string, next net.HardwareAddr) (*station, error) {
	tap, err := wire.Open(ns, dev, next)
	if err != nil {
		return nil, err
	}
	l.onClose(tap.Close)
	return &station{name: name, tap: tap}, nil
}

// deafen has a namespace's kernel take nothing but what it needs to be found, or nothing that matches. Taps see packets
// before.
func deafen(ctx context.Context, ns *netlab.Namespace, matches ...string) error {
	if matches == nil {
		matches = []string{""}
	}
	rules := `table inet deaf {
	chain input {
		type filter hook prerouting priority -500
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		` + strings.Join(matches, " drop\n\t\t") + ` drop
	}
}
`
	_, err := ns.RunInput(ctx, rules, "nft", "-f", "-")
	return err
}

// gatewayMAC finds the bridge by the gateway's address.
func (l *Lab) gatewayMAC(gateway netip.Addr) (net.HardwareAddr, error) {
	links, err := l.Topology.Host.Links()
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		addrs, err := l.Topology.Host.Addrs(link.Name)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if a.Addr() == gateway {
				return link.MAC, nil
			}
		}
	}
	return nil, fmt.Errorf("no interface of the host has %s", gateway)
}

func (l *Lab) forget() {
	l.outside.tap.Reset()
	for _, s := range l.inside {
		s.tap.Reset()
	}
}

// Port is a port that no other case in this lab uses, nor will.
func (l *Lab) Port() uint16 { return uint16(l.nextPort.Add(1)) }

func (l *Lab) onClose(f func() error) { l.closers = append(l.closers, f) }

// Close takes everything down, last made first.
func (l *Lab) Close() error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	l.closers = nil
	return errors.Join(errs...)
}
