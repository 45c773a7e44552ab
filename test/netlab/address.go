// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddAddr gives an interface an address. IPv6 addresses skip duplicate
// address detection, and on an interface that is up they work on return.
func (n *Namespace) AddAddr(link string, p netip.Prefix) error {
	return n.change(link, "add address "+p.String()+" to", func(l netlink.Link) error {
		err := n.handle.AddrAdd(l, newAddr(p))
		if err == nil && p.Addr().Is6() && l.Attrs().Flags&net.FlagUp != 0 {
			err = n.waitLocal(p.Addr())
		}
		return err
	})
}

// waitLocal waits until the kernel takes packets to an address. For IPv6 the
// host route comes from a work queue, after the request was acknowledged, even
// without duplicate address detection.
func (n *Namespace) waitLocal(a netip.Addr) error {
	for range 2000 {
		routes, err := n.handle.RouteGet(a.AsSlice())
		if err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("the kernel does not take packets to it")
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
		all, err := dump(func() ([]netlink.Addr, error) { return n.handle.AddrList(l, netlink.FAMILY_ALL) })
		for _, a := range all {
			ip, _ := netip.AddrFromSlice(a.IP)
			ones, _ := a.Mask.Size()
			addrs = append(addrs, netip.PrefixFrom(ip.Unmap(), ones))
		}
		return err
	})
	return addrs, err
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
