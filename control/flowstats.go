// SPDX-License-Identifier: Apache-2.0

package control

import (
	"cmp"
	"context"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/control/api"
)

// FlowStats is how much there is of flows, and how much of what they need is used up.
type FlowStats struct {
	Flows4    TableUse
	Flows6    TableUse
	Bindings  TableUse
	Endpoints []EndpointUse
	Pools     []PoolUse
	Tries     []PortTries
}

// PortTries is how many sessions found a source port with so many tries.
type PortTries struct {
	Tries    string // "1", "3-4"; "failed": none was free
	Sessions uint64
}

// TableUse is how full a table is.
type TableUse struct{ Entries, Capacity int }

// EndpointUse is what an endpoint has used up of what it may.
type EndpointUse struct {
	Addrs   []netip.Addr
	Network uint32
	Flows   uint32
	Limit   uint32 // 0: none
	Refused uint64
}

// PoolUse is how many source ports of an external address are taken.
type PoolUse struct {
	Addr        netip.Addr
	Proto       string
	Ports, Size int
}

// FlowStats says how many flows each container has, and how many ports of each external address are in use.
func (e *Engine) FlowStats(ctx context.Context) (api.FlowStats, error) {
	s, err := e.cfg.Dataplane.FlowStats(ctx)
	if err != nil {
		return api.FlowStats{}, err
	}
	names := e.state.Load().directory()
	v := api.FlowStats{
		Flows:  tableUse(TableUse{s.Flows4.Entries + s.Flows6.Entries, s.Flows4.Capacity + s.Flows6.Capacity}),
		Flows4: tableUse(s.Flows4), Flows6: tableUse(s.Flows6), Mappings: tableUse(s.Bindings),
		Containers: []api.ContainerFlows{}, Addresses: []api.AddressPorts{}, Tries: []api.PortTries{},
	}
	for _, u := range s.Endpoints {
		v.Containers = append(v.Containers, api.ContainerFlows{
			Container: names.container(u.Addrs...), Network: names.networks[u.Network],
			Flows: u.Flows, Limit: u.Limit, Refused: u.Refused,
		})
	}
	slices.SortFunc(v.Containers, func(a, b api.ContainerFlows) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Network, b.Network))
	})
	for _, p := range s.Pools {
		v.Addresses = append(v.Addresses, api.AddressPorts{
			Address: p.Addr, Protocol: p.Proto, Ports: p.Ports, Size: p.Size, Percent: percent(p.Ports, p.Size),
		})
	}
	for _, t := range s.Tries {
		v.Tries = append(v.Tries, api.PortTries(t))
	}
	return v, nil
}

// container is the name of who has one of the addresses; empty: nobody.
func (d directory) container(addrs ...netip.Addr) string {
	for _, a := range addrs {
		if name, ok := d.containers[a]; ok {
			return name
		}
	}
	return ""
}

func tableUse(t TableUse) api.TableUse {
	return api.TableUse{Entries: t.Entries, Capacity: t.Capacity, Percent: percent(t.Entries, t.Capacity)}
}

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
