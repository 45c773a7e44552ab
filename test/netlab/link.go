// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Link is what there is to know about an interface.
type Link struct {
	Name   string
	Kind   string // "veth", "bridge", "device" …
	Index  int
	Peer   int // index of the other end of a veth, in its own namespace
	Master int // index of the bridge it is a port of, or 0
	MAC    net.HardwareAddr
	MTU    int
	Up     bool
}

// Link finds an interface by name.
func (n *Namespace) Link(name string) (Link, error) {
	l, err := n.handle.LinkByName(name)
	if err != nil {
		return Link{}, fmt.Errorf("find link %s in %s: %w", name, n.name, err)
	}
	return newLink(l), nil
}

// Links lists the interfaces of the namespace.
func (n *Namespace) Links() ([]Link, error) {
	all, err := n.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links in %s: %w", n.name, err)
	}
	links := make([]Link, 0, len(all))
	for _, l := range all {
		links = append(links, newLink(l))
	}
	return links, nil
}

func newLink(l netlink.Link) Link {
	a := l.Attrs()
	return Link{
		Name: a.Name, Kind: l.Type(), Index: a.Index, Peer: a.ParentIndex, Master: a.MasterIndex,
		MAC: a.HardwareAddr, MTU: a.MTU, Up: a.Flags&net.FlagUp != 0,
	}
}

// AddVeth joins two namespaces by a veth pair and brings both ends up. The
// pair is made in place, so it never shows up anywhere else, and its offloads
// are those that the kernel gives it.
func (n *Namespace) AddVeth(name string, peer *Namespace, peerName string) error {
	fail := func(err error) error {
		return fmt.Errorf("add veth %s in %s to %s in %s: %w", name, n.name, peerName, peer.name, err)
	}
	ns, err := netns.GetFromPath(peer.path)
	if err != nil {
		return fail(err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	err = n.handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peerName, PeerNamespace: netlink.NsFd(ns)})
	if err != nil {
		return fail(err)
	}
	return errors.Join(n.SetUp(name), peer.SetUp(peerName))
}

// AddBridge makes a bridge and brings it up.
func (n *Namespace) AddBridge(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := n.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("add bridge %s in %s: %w", name, n.name, err)
	}
	return n.SetUp(name)
}

// SetMaster makes an interface a port of a bridge.
func (n *Namespace) SetMaster(link, bridge string) error {
	master, err := n.Link(bridge)
	if err != nil {
		return err
	}
	return n.change(link, "put on bridge "+bridge, func(l netlink.Link) error {
		return n.handle.LinkSetMasterByIndex(l, master.Index)
	})
}

// SetHairpin lets a bridge send a frame back out of the port it came in by.
func (n *Namespace) SetHairpin(port string, on bool) error {
	return n.change(port, "set hairpin mode of", func(l netlink.Link) error { return n.handle.LinkSetHairpin(l, on) })
}

// SetUp brings an interface up.
func (n *Namespace) SetUp(link string) error { return n.change(link, "bring up", n.handle.LinkSetUp) }

// SetDown takes an interface down.
func (n *Namespace) SetDown(link string) error {
	return n.change(link, "take down", n.handle.LinkSetDown)
}

// SetMTU changes the MTU of an interface.
func (n *Namespace) SetMTU(link string, mtu int) error {
	return n.change(link, "set MTU of", func(l netlink.Link) error { return n.handle.LinkSetMTU(l, mtu) })
}

// SetMAC changes the hardware address of an interface.
func (n *Namespace) SetMAC(link string, mac net.HardwareAddr) error {
	return n.change(link, "set MAC of", func(l netlink.Link) error { return n.handle.LinkSetHardwareAddr(l, mac) })
}

// DeleteLink removes an interface; a veth takes its other end with it.
func (n *Namespace) DeleteLink(link string) error {
	return n.change(link, "delete", n.handle.LinkDel)
}

func (n *Namespace) change(link, what string, f func(netlink.Link) error) error {
	l, err := n.handle.LinkByName(link)
	if err == nil {
		err = f(l)
	}
	if err != nil {
		return fmt.Errorf("%s %s in %s: %w", what, link, n.name, err)
	}
	return nil
}

// AddAddr gives an interface an address. IPv6 addresses skip duplicate
// address detection.
func (n *Namespace) AddAddr(link string, p netip.Prefix) error {
	return n.change(link, "add address "+p.String()+" to", func(l netlink.Link) error {
		return n.handle.AddrAdd(l, newAddr(p))
	})
}

// DelAddr takes an address away from an interface.
func (n *Namespace) DelAddr(link string, p netip.Prefix) error {
	return n.change(link, "delete address "+p.String()+" from", func(l netlink.Link) error {
		return n.handle.AddrDel(l, newAddr(p))
	})
}

func newAddr(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// Addrs lists the addresses of an interface, link-local ones included.
func (n *Namespace) Addrs(link string) ([]netip.Prefix, error) {
	var addrs []netip.Prefix
	err := n.change(link, "list addresses of", func(l netlink.Link) error {
		all, err := n.handle.AddrList(l, netlink.FAMILY_ALL)
		for _, a := range all {
			ip, _ := netip.AddrFromSlice(a.IP)
			ones, _ := a.Mask.Size()
			addrs = append(addrs, netip.PrefixFrom(ip.Unmap(), ones))
		}
		return err
	})
	return addrs, err
}

// Route is a route: through Via, or directly on Dev when Via is invalid.
type Route struct {
	Dst    netip.Prefix
	Via    netip.Addr
	Dev    string
	Src    netip.Addr
	Table  int
	Metric int
}

// AddRoute adds a route.
func (n *Namespace) AddRoute(r Route) error { return n.route("add", r, n.handle.RouteAdd) }

// ReplaceRoute adds a route or replaces the one that is there.
func (n *Namespace) ReplaceRoute(r Route) error {
	return n.route("replace", r, n.handle.RouteReplace)
}

// DelRoute deletes a route.
func (n *Namespace) DelRoute(r Route) error { return n.route("delete", r, n.handle.RouteDel) }

func (n *Namespace) route(what string, r Route, f func(*netlink.Route) error) error {
	nr := &netlink.Route{Dst: ipNet(r.Dst), Table: r.Table, Priority: r.Metric}
	if r.Via.IsValid() {
		nr.Gw = r.Via.AsSlice()
	} else {
		nr.Scope = netlink.SCOPE_LINK
	}
	if r.Src.IsValid() {
		nr.Src = r.Src.AsSlice()
	}
	var err error
	if r.Dev != "" {
		var l Link
		l, err = n.Link(r.Dev)
		nr.LinkIndex = l.Index
	}
	if err == nil {
		err = f(nr)
	}
	if err != nil {
		return fmt.Errorf("%s route to %s in %s: %w", what, r.Dst, n.name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
