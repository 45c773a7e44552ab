// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// SetDefaultRoutes replaces the container's default routes; an invalid gateway removes the family's. It fails with
// control.ErrNamespaceGone when the namespace is no longer the one that ref names.
func (l *Links) SetDefaultRoutes(ctx context.Context, ref control.NamespaceRef, r control.DefaultRoutes) error {
	c, err := l.openContainer(ref)
	if err != nil {
		return fmt.Errorf("set default routes: %w", err)
	}
	defer c.Close()
	err = join(
		c.setDefault(ctx, netlink.FAMILY_V4, r.Gateway4, r.Interface4),
		c.setDefault(ctx, netlink.FAMILY_V6, r.Gateway6, r.Interface6))
	if err != nil {
		return fmt.Errorf("set default routes of %s: %w", ref.Path, err)
	}
	return nil
}

// setDefault adds the new route before it removes others, so that a moved default route leaves no gap.
func (c *container) setDefault(ctx context.Context, family int, gateway netip.Addr, dev string) error {
	routes, err := dump(ctx, func() ([]netlink.Route, error) { return c.h.RouteList(nil, family) })
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var want *netlink.Route
	if gateway.IsValid() {
		if want, err = c.defaultRoute(ctx, gateway, dev); err != nil {
			return err
		}
		if !hasDefault(routes, want) {
			if err := c.h.RouteReplace(want); err != nil {
				return fmt.Errorf("default via %s dev %s: %w", gateway, dev, err)
			}
		}
	}
	for _, r := range routes {
		if !isDefault(r) || want != nil && sameNextHop(r, want) {
			continue
		}
		// Replacing took the one of equal metric with it.
		if err := c.h.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete default route via %s: %w", r.Gw, err)
		}
	}
	return nil
}

func (c *container) defaultRoute(ctx context.Context, gateway netip.Addr, dev string) (*netlink.Route, error) {
	link, err := c.h.LinkByName(dev)
	if err != nil {
		return nil, fmt.Errorf("default via %s: look up interface %q: %w", gateway, dev, err)
	}
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice(), Protocol: unix.RTPROT_STATIC,
		Dst: ipNet(netip.PrefixFrom(unspecified(gateway), 0)),
	}
	addrs, err := dump(ctx, func() ([]netlink.Addr, error) { return c.h.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", dev, err)
	}
	// A static address may lie outside of the gateway's subnet (a /32): the gateway is next door all the same.
	route.SetFlag(netlink.FLAG_ONLINK)
	for _, a := range addrs {
		if prefixOf(a.IPNet).Masked().Contains(gateway) {
			route.ClearFlag(netlink.FLAG_ONLINK)
		}
	}
	return route, nil
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func isDefault(r netlink.Route) bool {
	if r.Type != unix.RTN_UNICAST {
		return false
	}
	return r.Dst == nil || prefixOf(r.Dst).Bits() == 0
}

func sameNextHop(r netlink.Route, want *netlink.Route) bool {
	return r.LinkIndex == want.LinkIndex && r.Gw.Equal(want.Gw) && len(r.MultiPath) == 0
}

func hasDefault(routes []netlink.Route, want *netlink.Route) bool {
	for _, r := range routes {
		if isDefault(r) && sameNextHop(r, want) {
			return true
		}
	}
	return false
}
