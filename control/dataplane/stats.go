// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// FlowStats implements control.Dataplane.
func (d *Dataplane) FlowStats(ctx context.Context) (control.FlowStats, error) {
	var s control.FlowStats
	use := make(poolUse)
	err := inOrder(
		func() error { return d.countFlows(ctx, d.maps.Flows.IPv4, &s.Flows4, use) },
		func() error { return d.countFlows(ctx, d.maps.Flows.IPv6, &s.Flows6, use) },
		func() error { return d.countBindings(ctx, &s.Bindings, use) },
		func() (err error) { s.Endpoints, err = d.endpointUse(); return err },
		func() (err error) { s.Pools, err = d.pools(use); return err },
		func() (err error) { s.Tries, err = d.tries(); return err },
	)
	if err != nil {
		return control.FlowStats{}, fmt.Errorf("count flows: %w", err)
	}
	return s, nil
}

// poolUse is which ports of external addresses are taken.
type poolUse map[externalAddr]*portSet

type externalAddr struct {
	addr  netip.Addr
	proto uint8
}

type portSet [1 << 16 / 64]uint64

func (u poolUse) add(at netip.AddrPort, proto uint8) {
	key := externalAddr{at.Addr(), proto}
	if u[key] == nil {
		u[key] = new(portSet)
	}
	u[key][at.Port()/64] |= 1 << (at.Port() % 64)
}

func (p *portSet) has(port uint16) bool { return p[port/64]&(1<<(port%64)) != 0 }

// countFlows also finds the ports of TCP, unless they are bound like those of the others.
func (d *Dataplane) countFlows(ctx context.Context, table *maps.FlowTable, of *control.TableUse, use poolUse) error {
	of.Capacity = table.Capacity()
	bound := d.policy.Load().bindsTCP
	err := table.Each(func(key maps.FlowKey, f maps.Flow) bool {
		of.Entries++
		switch {
		case key.Proto != unix.IPPROTO_TCP || bound:
		case holdsPort(&f):
			use.add(f.Src, key.Proto)
		case f.Flags&maps.FlowRetired != 0:
			use.add(key.Dst, key.Proto)
		}
		return ctx.Err() == nil
	})
	return cmp.Or(err, ctx.Err())
}

func (d *Dataplane) countBindings(ctx context.Context, table *control.TableUse, use poolUse) error {
	table.Capacity = d.maps.Bindings.Capacity()
	err := d.maps.Bindings.Each(func(key maps.BindingKey, _ maps.Binding) bool {
		table.Entries++
		if !key.Inside {
			use.add(key.Addr, key.Proto)
		}
		return ctx.Err() == nil
	})
	return cmp.Or(err, ctx.Err())
}

// endpointUse says what each endpoint has used up of its quota.
func (d *Dataplane) endpointUse() ([]control.EndpointUse, error) {
	quotas, err := d.maps.Quotas.Load()
	if err != nil {
		return nil, err
	}
	var list []control.EndpointUse
	limit := d.policy.Load().maxFlows
	err = d.maps.Veths.Each(func(_ uint32, v maps.Veth) bool {
		q := quotas[v.Slot]
		u := control.EndpointUse{Network: uint32(v.Network), Flows: q.Flows, Limit: limit, Refused: q.Refused}
		for _, a := range []netip.Addr{v.Addr4, v.Addr6} {
			if a.IsValid() {
				u.Addrs = append(u.Addrs, a)
			}
		}
		list = append(list, u)
		return true
	})
	return list, err
}

// tries leaves out what did not happen.
func (d *Dataplane) tries() ([]control.PortTries, error) {
	counts, err := d.maps.Tries.Counts()
	if err != nil {
		return nil, err
	}
	var list []control.PortTries
	for class, n := range counts {
		if n > 0 {
			list = append(list, control.PortTries{Tries: maps.TriesOf(class), Sessions: n})
		}
	}
	return list, nil
}

// pools sums up. Ports that are published or bound by the host are not for containers to leave with.
func (d *Dataplane) pools(use poolUse) ([]control.PoolUse, error) {
	first, last := d.loader.Pool()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ports.load(d.cfg.Clock())
	list := make([]control.PoolUse, 0, len(use))
	for key, taken := range use {
		p := control.PoolUse{Addr: key.addr, Proto: maps.ProtocolName(key.proto)}
		for port := int(first); port <= int(last); port++ {
			index := maps.PortIndex(key.proto, uint16(port))
			_, bound := d.ports.bound[index]
			switch {
			case taken.has(uint16(port)):
				p.Ports++
				p.Size++
			case !bound && !d.ports.published.has(index):
				p.Size++
			}
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b control.PoolUse) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Proto, b.Proto))
	})
	return list, nil
}
