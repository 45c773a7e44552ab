// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
)

// planGuard comes before the uplinks.
func (p *plan) planGuard(want *control.DataplaneState) error {
	p.denied = make(map[netip.Prefix]maps.Denial, len(want.Denied))
	for _, prefix := range want.Denied {
		if !plain(prefix.Addr()) || prefix != prefix.Masked() {
			return fmt.Errorf("deny %s: it is no prefix", prefix)
		}
		p.denied[prefix] = maps.Denial{}
	}
	var g maps.Guard
	if len(p.denied) > 0 {
		g.Flags |= maps.GuardDenied
	}
	if ports := want.ClosedPorts; ports != (control.PortSpan{}) {
		g.Flags |= maps.GuardClosed
		g.ClosedFirst, g.ClosedLast = ports.First, ports.Last
	}
	if want.SourceRate > 0 {
		burst := want.SourceBurst
		if burst == 0 {
			burst = want.SourceRate
		}
		g.Interval = max(1, time.Second/time.Duration(want.SourceRate))
		g.Burst = time.Duration(burst-1) * g.Interval
	}
	p.guards = map[uint32]maps.Guard{0: g}
	return nil
}

// guardOf says where an uplink drops what is not to come in: nowhere, while there is nothing of that sort.
func (p *plan) guardOf(u control.DataplaneUplink) loader.Guard {
	switch {
	case p.guards[0] == maps.Guard{}:
		return loader.NoGuard
	case u.XDP == control.XDPNative:
		return loader.GuardXDP
	case u.XDP == control.XDPGeneric:
		return loader.GuardXDPGeneric
	}
	return loader.GuardTC
}
