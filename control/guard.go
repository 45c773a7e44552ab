// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/vethway/vethway/control/api"
)

// Guard says what is dropped on uplinks before anything else looks at it, beside what is on the deny list.
type Guard struct {
	// XDP are the uplinks whose driver is to do it.
	XDP XDPUplinks
	// ClosedPorts are the host's TCP and UDP ports to which nothing is answered unless somebody has them; zero: none.
	ClosedPorts PortSpan
	// SourceRate is how many flows to published ports a source may begin in a second, SourceBurst how many of them at once; 0: any
	// number, and as many as in a second.
	SourceRate, SourceBurst uint32
}

// XDPUplinks tells uplinks whose driver runs XDP from others. An uplink without it has the same dropped later.
type XDPUplinks struct {
	// Auto: hardware whose driver loses nothing by it.
	Auto bool
	// Names are patterns of those that have it in any case.
	Names []string
	// Generic has it run behind the driver where it is named, for drivers that have none.
	Generic bool
}

// costlyDrivers lose more by XDP than an early drop saves: while it is on, they take no packets beyond the MTU from their host or
// hypervisor (no LRO, no guest TSO).
var costlyDrivers = []string{"virtio_net", "vmxnet3", "hv_netvsc", "xen_netfront", "vif"}

// mode says how an uplink is to run XDP.
func (x XDPUplinks) mode(u UplinkFacts) XDPMode {
	for _, pattern := range x.Names {
		if ok, err := path.Match(pattern, u.Name); err != nil || !ok || !u.Ethernet {
			continue
		}
		if x.Generic {
			return XDPGeneric
		}
		return XDPNative
	}
	if x.Auto && u.Ethernet && u.Driver != "" && !slices.Contains(costlyDrivers, u.Driver) {
		return XDPNative
	}
	return XDPNone
}

func (x XDPUplinks) check() error {
	for _, pattern := range x.Names {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("XDP uplink pattern %q: %w", pattern, err)
		}
	}
	return nil
}

// denyList is the deny list. It is never changed once it is part of a state.
type denyList struct {
	Entries []denial // by prefix
}

type denial struct {
	Prefix netip.Prefix
	Since  time.Time
}

func compareDenials(a, b denial) int { return a.Prefix.Compare(b.Prefix) }

func (d *denyList) find(p netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(d.Entries, denial{Prefix: p}, compareDenials)
}

func (d *denyList) check() error {
	if !slices.IsSortedFunc(d.Entries, compareDenials) {
		return fmt.Errorf("the deny list is out of order")
	}
	for _, e := range d.Entries {
		if err := checkDenied(e.Prefix); err != nil {
			return err
		}
	}
	return nil
}

func (d *denyList) prefixes() []netip.Prefix {
	list := make([]netip.Prefix, len(d.Entries))
	for i, e := range d.Entries {
		list[i] = e.Prefix
	}
	return list
}

// DenySources puts prefixes on the deny list, and returns those that were not on it.
func (e *Engine) DenySources(ctx context.Context, req api.Deny) ([]api.Denial, error) {
	var added []denial
	err := e.request(ctx, "deny sources", func(next *state) error {
		added = nil
		if err := checkDeny(req); err != nil {
			return err
		}
		now := time.Now().UTC().Round(0) // as it comes back from the store
		for _, p := range unique(req.Prefixes) {
			if _, on := next.denied.find(p); !on {
				added = append(added, denial{p, now})
			}
		}
		entries := slices.Concat(next.denied.Entries, added)
		slices.SortFunc(entries, compareDenials)
		next.denied = &denyList{entries}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return viewDenials(added), nil
}

// AllowSources takes prefixes off the deny list: all, or none and an error.
func (e *Engine) AllowSources(ctx context.Context, req api.Deny) ([]api.Denial, error) {
	var gone []denial
	err := e.request(ctx, "allow sources", func(next *state) error {
		gone = nil
		if err := checkDeny(req); err != nil {
			return err
		}
		wanted := unique(req.Prefixes)
		for _, p := range wanted {
			if _, on := next.denied.find(p); !on {
				return api.Errorf(api.NotFound, "%s is not on the deny list", p).WithHint("see what there is: vethway deny ls")
			}
		}
		var entries []denial
		for _, d := range next.denied.Entries {
			if _, named := slices.BinarySearchFunc(wanted, d.Prefix, netip.Prefix.Compare); named {
				gone = append(gone, d)
			} else {
				entries = append(entries, d)
			}
		}
		next.denied = &denyList{entries}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return viewDenials(gone), nil
}

// DeniedSources lists the deny list, by prefix.
func (e *Engine) DeniedSources(context.Context) ([]api.Denial, error) {
	return viewDenials(e.state.Load().denied.Entries), nil
}

func viewDenials(list []denial) []api.Denial {
	out := make([]api.Denial, len(list))
	for i, d := range list {
		out[i] = api.Denial(d)
	}
	return out
}

func unique(prefixes []netip.Prefix) []netip.Prefix {
	return slices.Compact(slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare))
}

func checkDeny(req api.Deny) error {
	if len(req.Prefixes) == 0 {
		return api.Errorf(api.InvalidArgument, "no prefix named").WithHint("as in: vethway deny add 192.0.2.0/24 2001:db8::/48")
	}
	for _, p := range req.Prefixes {
		if err := checkDenied(p); err != nil {
			return err
		}
	}
	return nil
}

// checkDenied refuses what would cut the host off altogether, and what no packet comes from.
func checkDenied(p netip.Prefix) error {
	switch {
	case !p.IsValid() || p.Addr().Is4In6():
		return api.Errorf(api.InvalidArgument, "%s is not a prefix", p)
	case p != p.Masked():
		return api.Errorf(api.InvalidArgument, "%s: host bits are set", p).WithHint("did you mean %s?", p.Masked())
	case p.Bits() == 0:
		return api.Errorf(api.InvalidArgument, "%s is everybody", p).WithHint("take the uplink down, or name who is to be denied")
	}
	return nil
}
