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

// theCutter is the annex where the kernel cuts datagrams up. It is not the detour's namespace: there fragments wait for the rest of
// their datagram, which need not come this way, as it may be small enough.
func (l *Links) theCutter(cuts []control.Cut) annex {
	return annex{
		link: control.CutterLink, file: l.cutter, settings: cutterSettings,
		routes: func(ctx context.Context, far device) error { return cutterRoutes(ctx, far, cuts) },
	}
}

// EnsureCutter makes or repairs the namespace where datagrams are cut up, which is kept at Config.CutterFile.
func (l *Links) EnsureCutter(ctx context.Context, cuts []control.Cut) (control.CutterInfo, error) {
	a := l.theCutter(cuts)
	index, _, err := l.ensureAnnex(ctx, a)
	if err != nil {
		return control.CutterInfo{}, fmt.Errorf("namespace that cuts datagrams up: %w", err)
	}
	return control.CutterInfo{Index: index, MAC: a.farMAC()}, nil
}

// cutterSettings: routers cut up IPv4 only.
func cutterSettings(dev string) []setting {
	off := conf6(dev, "disable_ipv6", "1")
	off.optional = true
	return append(annexForwarding(dev), off)
}

// cutterRoutes leads each subnet back with its network's MTU, which is what a forwarded packet is cut to, and takes away the routes of
// networks that are gone.
func cutterRoutes(ctx context.Context, far device, cuts []control.Cut) error {
	wanted := make(map[netip.Prefix]bool, len(cuts))
	for _, c := range cuts {
		if err := far.ensureWayBack(c.Subnet, annexVia4(), portMAC(control.CutterLink), c.MTU); err != nil {
			return err
		}
		wanted[c.Subnet] = true
	}
	have, err := dump(ctx, func() ([]netlink.Route, error) { return far.h.RouteList(far.link, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list routes of %s: %w", far.name(), err)
	}
	for _, r := range have {
		if r.Dst != nil && wanted[prefixOf(r.Dst)] {
			continue
		}
		if err := far.h.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete route to %s: %w", r.Dst, err)
		}
	}
	return nil
}
