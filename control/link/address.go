// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// applied is what an Ensure set on an interface.
type applied struct {
	addrs []netip.Prefix
	mac   string
	// unannounced: something changed since ActivateEndpoint told the neighbours.
	unannounced bool
}

// device is an interface together with the rtnetlink handle of its namespace.
type device struct {
	h    *netlink.Handle
	link netlink.Link
}

func (d device) name() string { return d.link.Attrs().Name }

// ensureAddrs adds the addresses in want that are missing, and takes away those in before that are not in want, as
// well as those with a wrong prefix length. It reports whether it added any.
func (d device) ensureAddrs(ctx context.Context, want, before []netip.Prefix) (bool, error) {
	added := false
	// Deleting a primary IPv4 address takes its secondaries with it, so that a second look is needed.
	for pass := 0; pass < 2; pass++ {
		have, err := dump(ctx, func() ([]netlink.Addr, error) { return d.h.AddrList(d.link, netlink.FAMILY_ALL) })
		if err != nil {
			return added, fmt.Errorf("list addresses of %s: %w", d.name(), err)
		}
		extra := extraAddrs(have, want, before)
		for _, addr := range extra {
			if err := d.h.AddrDel(d.link, &addr); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return added, fmt.Errorf("delete address %s from %s: %w", addr.IPNet, d.name(), err)
			}
		}
		for _, p := range want {
			if slices.ContainsFunc(have, func(a netlink.Addr) bool { return addrIs(a, p) }) {
				continue
			}
			if err := d.addAddr(p); err != nil {
				return added, err
			}
			added = true
		}
		if len(extra) == 0 {
			break
		}
	}
	return added, nil
}

func (d device) addAddr(p netip.Prefix) error {
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		// We hand out the addresses and know that they are unique; an address must work at once, not in a second.
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := d.h.AddrAdd(d.link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s to %s: %w", p, d.name(), err)
	}
	return nil
}

func extraAddrs(have []netlink.Addr, want, before []netip.Prefix) []netlink.Addr {
	var extra []netlink.Addr
	for _, a := range have {
		if slices.ContainsFunc(want, func(p netip.Prefix) bool { return addrIs(a, p) }) {
			continue
		}
		sameAddr := func(p netip.Prefix) bool { return p.Addr() == addrOf(a.IP) }
		if slices.ContainsFunc(want, sameAddr) || slices.ContainsFunc(before, sameAddr) {
			extra = append(extra, a)
		}
	}
	return extra
}

// addrIs tells whether the kernel's address is exactly the wanted one, and usable.
func addrIs(a netlink.Addr, p netip.Prefix) bool {
	return a.Peer == nil && prefixOf(a.IPNet) == p && a.Flags&unix.IFA_F_DADFAILED == 0 && a.Flags&unix.IFA_F_DEPRECATED == 0
}

// awaitLocal waits until the IPv6 addresses are answered for: the kernel adds an address's local route and joins its
// multicast group from a work queue.
func (d device) awaitLocal(ctx context.Context, addrs []netip.Prefix) error {
	for _, p := range addrs {
		if p.Addr().Is4() {
			continue
		}
		err := poll(ctx, func() (bool, error) {
			routes, err := d.h.RouteGet(p.Addr().AsSlice())
			if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
				err = nil
			}
			return err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL, err
		})
		if err != nil {
			return fmt.Errorf("address %s of %s does not come up: %w", p, d.name(), err)
		}
	}
	return nil
}

// ensureConnected puts the routes to the addresses' own subnets back; the kernel makes them but once.
func (d device) ensureConnected(ctx context.Context, addrs []netip.Prefix) error {
	have, err := dump(ctx, func() ([]netlink.Route, error) { return d.h.RouteList(d.link, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list routes of %s: %w", d.name(), err)
	}
	for _, p := range addrs {
		subnet := p.Masked()
		if subnet.IsSingleIP() || slices.ContainsFunc(have, func(r netlink.Route) bool {
			return r.Gw == nil && r.Dst != nil && prefixOf(r.Dst) == subnet
		}) {
			continue
		}
		route := &netlink.Route{LinkIndex: d.link.Attrs().Index, Dst: ipNet(subnet), Protocol: unix.RTPROT_KERNEL}
		if p.Addr().Is4() {
			route.Scope = netlink.SCOPE_LINK
			route.Src = p.Addr().AsSlice()
		} else {
			route.Priority = 256 // IP6_RT_PRIO_ADDRCONF
		}
		if err := d.h.RouteAdd(route); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add route to %s by %s: %w", subnet, d.name(), err)
		}
	}
	return nil
}

// ensureBasics sets MAC, MTU; a nil MAC leaves it.
func (d device) ensureBasics(mac net.HardwareAddr, mtu int) error {
	attrs := d.link.Attrs()
	if mac != nil && attrs.HardwareAddr.String() != mac.String() {
		if err := d.h.LinkSetHardwareAddr(d.link, mac); err != nil {
			return fmt.Errorf("set MAC of %s to %s: %w", d.name(), mac, err)
		}
	}
	if mtu > 0 && attrs.MTU != mtu {
		if err := d.h.LinkSetMTU(d.link, mtu); err != nil {
			return fmt.Errorf("set MTU of %s to %d: %w", d.name(), mtu, err)
		}
	}
	return nil
}

func (d device) up() bool { return d.link.Attrs().Flags&net.FlagUp != 0 }

func (d device) ensureUp() error {
	if d.up() {
		return nil
	}
	if err := d.h.LinkSetUp(d.link); err != nil {
		return fmt.Errorf("bring up %s: %w", d.name(), err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefixOf keeps host bits; a nil or malformed network gives an invalid prefix.
func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	ones, bits := n.Mask.Size()
	addr := addrOf(n.IP)
	if addr.BitLen() != bits {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, ones)
}

func addrOf(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}
