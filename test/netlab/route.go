// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

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

// AddDefaultRoutes adds default routes through the gateways that are valid.
func (n *Namespace) AddDefaultRoutes(gateways ...netip.Addr) error {
	var errs []error
	for _, gw := range gateways {
		if gw.IsValid() {
			errs = append(errs, n.AddRoute(Route{Dst: netip.PrefixFrom(unspecified(gw), 0), Via: gw}))
		}
	}
	return errors.Join(errs...)
}
