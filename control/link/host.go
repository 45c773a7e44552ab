// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// Host reports what the engine does not own. The lists are sorted, so that equal states compare equal.
func (l *Links) Host(ctx context.Context) (control.HostFacts, error) {
	facts, err := l.host(ctx)
	if err != nil {
		return control.HostFacts{}, fmt.Errorf("survey the host's network: %w", err)
	}
	return facts, nil
}

func (l *Links) host(ctx context.Context) (control.HostFacts, error) {
	var facts control.HostFacts
	seen := l.reroutings.Load() // first: what changes from here on counts next time
	links, err := l.linkList(ctx)
	if err != nil {
		return facts, err
	}
	addrs, err := dump(ctx, func() ([]netlink.Addr, error) { return l.h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return facts, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := dump(ctx, l.allRoutes)
	if err != nil {
		return facts, fmt.Errorf("list routes: %w", err)
	}
	facts.Uplinks = uplinks(links, addrs)
	l.nameDrivers(facts.Uplinks, links)
	facts.Addrs = hostAddrs(links, addrs)
	facts.Locals, facts.Routes = sortRoutes(links, routes)
	rules, err := dump(ctx, func() ([]netlink.Rule, error) { return l.h.RuleList(netlink.FAMILY_ALL) })
	if err != nil {
		return facts, fmt.Errorf("list policy rules: %w", err)
	}
	facts.Routing = routingDigest(links, routes, rules) + seen
	if facts.RoutesBig6, err = routesBig6(); err != nil {
		return facts, err
	}
	err = l.hostPorts(ctx, &facts)
	return facts, err
}

// HostPorts implements control.Links.
func (l *Links) HostPorts(ctx context.Context, facts *control.HostFacts) error {
	if err := l.hostPorts(ctx, facts); err != nil {
		return fmt.Errorf("survey the host's ports: %w", err)
	}
	return nil
}

func (l *Links) hostPorts(ctx context.Context, facts *control.HostFacts) (err error) {
	if facts.PortRange, facts.ReservedPorts, err = l.portSettings(); err != nil {
		return err
	}
	facts.Bound, err = l.boundPorts(ctx, facts.PortRange)
	return err
}

// allRoutes lists the routes of all tables: an unspecified table as filter means every one.
func (l *Links) allRoutes() ([]netlink.Route, error) {
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	var routes []netlink.Route
	// The library's list drops what it read when the dump was interrupted; dump wants it.
	err := l.h.RouteListFilteredIter(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		if r.Type == unix.RTN_LOCAL || r.Type == unix.RTN_UNICAST {
			routes = append(routes, r)
		}
		return true
	})
	return routes, err
}

// routingDigest stands for all that decides where a packet leaves the host, but for what is ours. Equal routing may be dumped in
// another order, so the parts are summed. Expiry times, which count down, are not part of a route's text.
func routingDigest(links []netlink.Link, routes []netlink.Route, rules []netlink.Rule) uint64 {
	mine := map[int]bool{}
	for _, link := range links {
		mine[link.Attrs().Index] = ours(link)
	}
	var sum uint64
	add := func(format string, args ...any) {
		h := fnv.New64a()
		fmt.Fprintf(h, format, args...)
		sum += h.Sum64()
	}
	for _, r := range routes {
		if r.Type == unix.RTN_UNICAST && !mine[r.LinkIndex] {
			add("%v %v %v %v %v %v %v %v %v %v %v", r.Dst, r.Src, r.Gw, r.Via, r.MultiPath, r.LinkIndex, r.Table, r.Priority, r.Tos, r.Flags, r.MTU)
		}
	}
	for _, r := range rules {
		add("%v %v %v %v %v %v %v %v %v %v %v %v", r.Priority, r.Family, r.Table, r.Src, r.Dst, r.Mark, r.IifName, r.OifName, r.Tos,
			r.Invert, r.Type, r.SuppressPrefixlen)
	}
	return sum
}

// sortRoutes parts local prefixes from the destinations that lead elsewhere. Default routes say nothing about which
// addresses are in use, and link-local ones are everywhere.
func sortRoutes(links []netlink.Link, routes []netlink.Route) (locals, others []netip.Prefix) {
	mine := map[int]bool{}
	for _, link := range links {
		mine[link.Attrs().Index] = ours(link)
	}
	for _, r := range routes {
		if r.Family != unix.AF_INET && r.Family != unix.AF_INET6 {
			continue
		}
		dst := prefixOf(r.Dst)
		switch {
		case !dst.IsValid():
		case r.Type == unix.RTN_LOCAL:
			locals = append(locals, dst.Masked())
		case dst.Bits() > 0 && !mine[r.LinkIndex] && !dst.Addr().IsLinkLocalUnicast():
			others = append(others, dst.Masked())
		}
	}
	return sortedPrefixes(locals), sortedPrefixes(others)
}

func sortedPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return slices.Compact(prefixes)
}
