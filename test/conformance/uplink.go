// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vethway/vethway/test/netlab"
)

// The ways to the peers, beside eth0 with its one address.
const (
	// byTun: a tun interface, whose frames have no link-layer header.
	byTun = "by a tun interface"
	// byAddress: eth0 has more addresses, and the route to the peers prefers one of them.
	byAddress = "by one address of several"
	// bySecond: a second uplink, to which a rule sends what comes from containers.
	bySecond = "by the second of two uplinks"
)

// way is how the host gets to the peers.
type way struct {
	host4, host6 netip.Addr
	remote       *netlab.Namespace
	dev          string           // of remote
	mac          net.HardwareAddr // the host's; nil: frames have no header
}

// ways lists them.
func ways() []string { return []string{byTun, byAddress, bySecond} }

// withoutWay is the name of the case that one of uplinkCases asks again.
func withoutWay(name string) string {
	for _, w := range ways() {
		name = strings.TrimSuffix(name, ", "+w)
	}
	return name
}

// uplinkCases asks again by the other ways what is asked by eth0, where packets alone say the answer.
func uplinkCases() []Case {
	base := slices.Concat(mappingCases(), filteringCases(), hairpinCases(), fragmentCases(), handshakeCases(), icmpErrorCases(), headerCases(), leakCases())
	var all []Case
	for _, uplink := range ways() {
		for _, c := range base {
			if c.Lab != (LabConfig{}) || strings.HasPrefix(c.Name, "sockets") {
				continue
			}
			c.Lab.Uplink = uplink
			c.Name += ", " + uplink
			all = append(all, c)
		}
	}
	return all
}

// openWay lays the way to the peers, before there is anything of the target's.
func (l *Lab) openWay(ctx context.Context) error {
	t := l.Topology
	l.way = way{host4: t.Host4, host6: t.Host6, remote: t.Remote, dev: "eth0"}
	var err error
	switch l.Config.Uplink {
	case byTun:
		return l.openTun()
	case byAddress:
		err = l.openAddress()
	case bySecond:
		err = l.openSecond(ctx)
	}
	if err != nil {
		return err
	}
	link, err := t.Host.Link(t.Uplinks[len(t.Uplinks)-1].Dev)
	l.way.mac = link.MAC
	return err
}

// tunQueue is the number of packets that wait for the pump: a case's whole burst. What is sent into a full queue of a tun
// interface is lost, and a case would blame the target.
const tunQueue = 16384

// openTun joins a tun interface of the host with one of a namespace of its own: what one sends, the other receives.
func (l *Lab) openTun() error {
	t := l.Topology
	inner, err := t.AddTun()
	if err != nil {
		return err
	}
	client, err := t.AddContainer("tun")
	if err != nil {
		return err
	}
	outer, err := client.AddTun("tun0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	for _, ends := range [][2]*netlab.Tun{{inner, outer}, {outer, inner}} {
		go func() {
			pump(ctx, ends[0], ends[1])
			done <- struct{}{}
		}()
	}
	l.onClose(func() error {
		cancel()
		<-done
		<-done
		return outer.Close()
	})
	l.way = way{host4: netip.MustParseAddr("10.8.0.1"), host6: netip.MustParseAddr("fd08::1"), remote: client, dev: "tun0"}
	return errors.Join(
		t.Host.SetQueueLength("tun0", tunQueue), client.SetQueueLength("tun0", tunQueue),
		client.AddAddr("tun0", netip.MustParsePrefix("10.8.0.2/24")), client.AddAddr("tun0", netip.MustParsePrefix("fd08::2/64")),
		t.Host.AddRoute(netlab.Route{Dst: netip.MustParsePrefix(peers4), Dev: "tun0"}),
		t.Host.AddRoute(netlab.Route{Dst: netip.MustParsePrefix(peers6), Dev: "tun0"}),
	)
}

func pump(ctx context.Context, from, to *netlab.Tun) {
	for {
		packet, err := from.Receive(ctx, nil)
		if err != nil {
			return
		}
		_ = to.Inject(packet) // the kernel refuses what is neither IPv4 nor IPv6: it is lost, as on any link
	}
}

func (l *Lab) openAddress() error {
	t, host := l.Topology, l.Topology.Host
	l.way.host4, l.way.host6 = netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8:2::77")
	var errs []error
	for _, a := range []string{"192.0.2.76/24", "192.0.2.77/24", "192.0.2.78/24", "2001:db8:2::76/64", "2001:db8:2::77/64", "2001:db8:2::78/64"} {
		errs = append(errs, host.AddAddr("eth0", netip.MustParsePrefix(a)))
	}
	return errors.Join(errors.Join(errs...),
		host.AddRoute(netlab.Route{Dst: netip.MustParsePrefix(peers4), Via: t.Remote4, Src: l.way.host4}),
		host.AddRoute(netlab.Route{Dst: netip.MustParsePrefix(peers6), Via: t.Remote6, Src: l.way.host6}),
	)
}

// openSecond gives the host eth1, by which goes what containers send, what has eth1's address, and what the host itself
// sends to peers. The main table leads to eth0.
func (l *Lab) openSecond(ctx context.Context) error {
	t, host := l.Topology, l.Topology.Host
	u, err := t.AddUplink()
	if err != nil {
		return err
	}
	l.way.host4, l.way.host6, l.way.remote = u.Host4.Addr(), u.Host6.Addr(), u.Remote
	errs := []error{
		host.AddRoute(netlab.Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: u.RemoteAddr4.Addr(), Table: 100}),
		host.AddRoute(netlab.Route{Dst: netip.MustParsePrefix("::/0"), Via: u.RemoteAddr6.Addr(), Table: 100}),
	}
	for i, to := range []string{peers4, peers6} {
		_, err := host.Run(ctx, "ip", []string{"-4", "-6"}[i], "rule", "add", "iif", "lo", "to", to, "lookup", "100", "priority", "150")
		errs = append(errs, err)
	}
	from := []netip.Prefix{netip.PrefixFrom(l.way.host4, 32), netip.PrefixFrom(l.way.host6, 128)}
	for _, n := range spec().Networks {
		from = append(from, n.Subnet4, n.Subnet6)
		// What is between networks is for the main table.
		for i, to := range []netip.Prefix{n.Subnet4, n.Subnet6} {
			_, err := host.Run(ctx, "ip", []string{"-4", "-6"}[i], "rule", "add", "to", to.String(), "lookup", "main", "priority", "100")
			errs = append(errs, err)
		}
	}
	for _, p := range from {
		flag := "-4"
		if p.Addr().Is6() {
			flag = "-6"
		}
		_, err := host.Run(ctx, "ip", flag, "rule", "add", "from", p.String(), "lookup", "100", "priority", "200")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
