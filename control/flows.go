// SPDX-License-Identifier: Apache-2.0

package control

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// directory gives addresses and network numbers their names.
type directory struct {
	containers map[netip.Addr]string
	networks   map[uint32]string
}

func (s *state) directory() directory {
	d := directory{map[netip.Addr]string{}, map[uint32]string{}}
	for _, n := range s.networks {
		d.networks[n.Index] = n.Name
	}
	for _, c := range s.containers {
		for _, ep := range c.Endpoints {
			for _, a := range ep.addrs() {
				d.containers[a] = c.Name
			}
		}
	}
	return d
}

// flowProtocols are the names that Flow.Proto has; other protocols are numbers.
func flowProtocols() []string { return []string{"tcp", "udp", "sctp", "icmp", "ipv6-icmp"} }

// checkKnown refuses what no flow can be: to show or end none would look as if there were none.
func checkKnown(f api.FlowFilter) error {
	if kinds := api.FlowKinds(); f.Kind != "" && !slices.Contains(kinds, f.Kind) {
		return api.Errorf(api.InvalidArgument, "no flow is of kind %q", f.Kind).WithHint("known are %s", strings.Join(kinds, ", "))
	}
	protocols := flowProtocols()
	if _, err := strconv.ParseUint(f.Protocol, 10, 8); f.Protocol != "" && err != nil && !slices.Contains(protocols, f.Protocol) {
		return api.Errorf(api.InvalidArgument, "protocol %q is not known", f.Protocol).
			WithHint("known are %s; another is its number", strings.Join(protocols, ", "))
	}
	return nil
}

// flowMatcher makes a test of a filter. It fails with ErrNotFound for a container or network that is not there.
func (s *state) flowMatcher(f api.FlowFilter) (func(Flow) bool, error) {
	if err := checkKnown(f); err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	var index uint32
	if f.Container != "" {
		c, err := s.container(f.Container)
		if err != nil {
			return nil, err
		}
		for _, ep := range c.Endpoints {
			addrs = append(addrs, ep.addrs()...)
		}
	}
	if f.Network != "" {
		n, err := s.network(f.Network)
		if err != nil {
			return nil, err
		}
		index = n.Index
	}
	return func(flow Flow) bool {
		sides := []netip.AddrPort{flow.Original.Src, flow.Original.Dst, flow.Reply.Src, flow.Reply.Dst}
		has := func(match func(netip.AddrPort) bool) bool { return slices.ContainsFunc(sides, match) }
		return (f.Container == "" || has(func(a netip.AddrPort) bool { return slices.Contains(addrs, a.Addr()) })) &&
			(f.Network == "" || flow.Network == index) &&
			(f.Protocol == "" || flow.Proto == f.Protocol) &&
			(f.Kind == "" || flow.Kind == f.Kind) &&
			(!f.Address.IsValid() || has(func(a netip.AddrPort) bool { return a.Addr() == f.Address.Unmap() })) &&
			(f.Port == 0 || has(func(a netip.AddrPort) bool { return a.Port() == f.Port }))
	}, nil
}

// Flows lists the NAT sessions that match, by network, protocol and who began them.
func (e *Engine) Flows(ctx context.Context, filter api.FlowFilter) ([]api.Flow, error) {
	s := e.state.Load()
	match, err := s.flowMatcher(filter)
	if err != nil {
		return nil, err
	}
	names := s.directory()
	var list []api.Flow
	// The table has no order: the first of the listing may be the last that is read. With a limit, no more than twice as
	// many are kept.
	cut := func() {
		slices.SortFunc(list, compareFlows)
		if filter.Limit > 0 && len(list) > filter.Limit {
			list = list[:filter.Limit]
		}
	}
	err = e.cfg.Dataplane.Flows(ctx, func(f Flow) bool {
		if match(f) {
			list = append(list, names.view(f))
		}
		if filter.Limit > 0 && len(list) >= 2*filter.Limit {
			cut()
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list flows: %w", err)
	}
	cut()
	return list, nil
}

// compareFlows orders by all that tells two flows apart, so that two listings differ by nothing but what changed.
func compareFlows(a, b api.Flow) int {
	return cmp.Or(
		cmp.Compare(a.Network, b.Network), cmp.Compare(a.Protocol, b.Protocol),
		a.Original.Src.Compare(b.Original.Src), a.Original.Dst.Compare(b.Original.Dst),
	)
}

func (d directory) view(f Flow) api.Flow {
	v := api.Flow{
		Protocol: f.Proto, Kind: f.Kind, Original: api.Tuple(f.Original), Reply: api.Tuple(f.Reply), State: f.State,
		Network: d.networks[f.Network], Packets: f.Packets, Bytes: f.Bytes, RPackets: f.RPackets, RBytes: f.RBytes,
		IdleSeconds: f.Idle.Seconds(), TimeoutSeconds: f.Timeout.Seconds(), Stale: f.Stale,
	}
	// A published port's flow is named after the container that answers, any other after the one that asked.
	for _, a := range []netip.AddrPort{f.Reply.Src, f.Original.Src, f.Original.Dst, f.Reply.Dst} {
		if name, ok := d.containers[a.Addr()]; ok {
			v.Container = name
			break
		}
	}
	return v
}

// FlushFlows ends the NAT sessions that match.
func (e *Engine) FlushFlows(ctx context.Context, filter api.FlowFilter) (api.FlowsFlushed, error) {
	match, err := e.state.Load().flowMatcher(filter)
	if err != nil {
		return api.FlowsFlushed{}, err
	}
	n, err := e.cfg.Dataplane.Flush(ctx, match)
	if err != nil {
		return api.FlowsFlushed{Flushed: n}, fmt.Errorf("flush flows: %w", err)
	}
	e.cfg.Log.Info("request done", "request", "flush flows", "flows", n)
	return api.FlowsFlushed{Flushed: n}, nil
}

// Drops lists the drop counters that are not zero.
func (e *Engine) Drops(ctx context.Context) ([]api.Drop, error) {
	counts, err := e.cfg.Dataplane.Drops(ctx)
	if err != nil {
		return nil, fmt.Errorf("read drop counters: %w", err)
	}
	list := make([]api.Drop, len(counts))
	for i, c := range counts {
		list[i] = api.Drop(c)
	}
	return list, nil
}
