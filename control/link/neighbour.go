// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// ensureNeighbours writes the static FDB entry and the permanent neighbours: packets that the programs redirect teach the
// bridge nothing, so that learned entries would age out under traffic. The kernel itself takes an equal entry for no change.
func (l *Links) ensureNeighbours(port, bridge netlink.Link, e control.EndpointSpec) error {
	fdb := &netlink.Neigh{
		LinkIndex: port.Attrs().Index, Family: unix.AF_BRIDGE,
		State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER, HardwareAddr: e.MAC,
	}
	if err := l.h.NeighSet(fdb); err != nil {
		return fmt.Errorf("add FDB entry %s: %w", e.MAC, err)
	}
	for _, p := range e.Addrs {
		neigh := neighbour(bridge.Attrs().Index, p.Addr())
		neigh.HardwareAddr = e.MAC
		if err := l.h.NeighSet(neigh); err != nil {
			return fmt.Errorf("add neighbour %s to %s: %w", p.Addr(), e.Bridge, err)
		}
	}
	return nil
}

func neighbour(bridge int, addr netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: bridge, State: netlink.NUD_PERMANENT, Type: unix.RTN_UNICAST, IP: addr.AsSlice()}
}

// staleAddrs are the addresses that the endpoint had before and no longer has.
func staleAddrs(before applied, e control.EndpointSpec) []netip.Addr {
	var stale []netip.Addr
	for _, p := range before.addrs {
		if !slices.ContainsFunc(e.Addrs, func(q netip.Prefix) bool { return q.Addr() == p.Addr() }) {
			stale = append(stale, p.Addr())
		}
	}
	return stale
}

func (l *Links) dropNeighbours(bridge int, addrs []netip.Addr) error {
	var errs []error
	for _, addr := range addrs {
		err := l.h.NeighDel(neighbour(bridge, addr))
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete neighbour %s: %w", addr, err))
		}
	}
	return join(errs...)
}

// dropNeighboursOf deletes the neighbours with these MACs only: an address may be another endpoint's by now.
func (l *Links) dropNeighboursOf(ctx context.Context, bridge int, macs []string) error {
	if bridge == 0 || len(macs) == 0 {
		return nil
	}
	have, err := dump(ctx, func() ([]netlink.Neigh, error) { return l.h.NeighList(bridge, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	var theirs []netip.Addr
	for _, n := range have {
		if n.State == netlink.NUD_PERMANENT && slices.Contains(macs, n.HardwareAddr.String()) {
			theirs = append(theirs, addrOf(n.IP))
		}
	}
	return l.dropNeighbours(bridge, theirs)
}
