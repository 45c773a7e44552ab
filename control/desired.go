// SPDX-License-Identifier: Apache-2.0

package control

import (
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// What the state means for the kernel: specs of links, and what the packet programs know.

// protocols are the IP protocol numbers.
var protocols = map[string]uint8{api.TCP: 6, api.UDP: 17, api.SCTP: 132}

func (e *Engine) bridgeSpec(n *network) BridgeSpec {
	spec := BridgeSpec{Name: n.Bridge, MAC: net.HardwareAddr(n.MAC), MTU: n.MTU, IPv6: n.IPv6 != nil, Send: e.toContainers(n)}
	for _, a := range []*addressing{n.IPv4, n.IPv6} {
		if a != nil {
			spec.Addrs = append(spec.Addrs, netip.PrefixFrom(a.Gateway, a.Subnet.Bits()))
		}
	}
	return spec
}

func (e *Engine) endpointSpec(n *network, c *container, ep *endpoint) EndpointSpec {
	spec := EndpointSpec{
		HostName: ep.hostName(), Bridge: n.Bridge, Namespace: c.Namespace, ContainerName: ep.Interface,
		MAC: net.HardwareAddr(ep.MAC), MTU: n.MTU, IPv6: n.IPv6 != nil,
		Send: e.fromContainers(n), Receive: e.toContainers(n),
	}
	if ep.IPv4.IsValid() {
		spec.Addrs = append(spec.Addrs, netip.PrefixFrom(ep.IPv4, n.IPv4.Subnet.Bits()))
	}
	if ep.IPv6.IsValid() {
		spec.Addrs = append(spec.Addrs, netip.PrefixFrom(ep.IPv6, n.IPv6.Subnet.Bits()))
	}
	return spec
}

// gateways returns the endpoints that have the container's default route, one for each family, nil where there is
// none. As in Docker: the highest gateway priority, then by the network's name; an internal network never.
func (s *state) gateways(c *container) (gw4, gw6 *endpoint) {
	better := func(a, b *endpoint) bool {
		if b == nil {
			return true
		}
		if a.GwPriority != b.GwPriority {
			return a.GwPriority > b.GwPriority
		}
		return s.networks[a.Network].Name < s.networks[b.Network].Name
	}
	for _, ep := range c.Endpoints {
		if s.networks[ep.Network].Internal {
			continue
		}
		if ep.IPv4.IsValid() && better(ep, gw4) {
			gw4 = ep
		}
		if ep.IPv6.IsValid() && better(ep, gw6) {
			gw6 = ep
		}
	}
	return gw4, gw6
}

// defaultRoutes is what the container's default routes should be. An interface whose name is not known yet has none.
func (s *state) defaultRoutes(c *container) DefaultRoutes {
	var r DefaultRoutes
	gw4, gw6 := s.gateways(c)
	if gw4 != nil && gw4.Interface != "" {
		r.Gateway4, r.Interface4 = s.networks[gw4.Network].IPv4.Gateway, gw4.Interface
	}
	if gw6 != nil && gw6.Interface != "" {
		r.Gateway6, r.Interface6 = s.networks[gw6.Network].IPv6.Gateway, gw6.Interface
	}
	return r
}

// target is the endpoint that serves what arrives at a host address, and its address. An IPv6 host address falls back
// on IPv4: processes of the host reach an IPv4-only container by [::1] too. There is no way from IPv4 to IPv6.
func target(hostIP netip.Addr, gw4, gw6 *endpoint) (*endpoint, netip.Addr) {
	switch {
	case hostIP.Is6() && gw6 != nil:
		return gw6, gw6.IPv6
	case gw4 != nil:
		return gw4, gw4.IPv4
	}
	return nil, netip.Addr{}
}

// dataplaneState is the state as the packet programs see it. Networks and endpoints whose links the kernel does not have
// are left out.
func (e *Engine) dataplaneState(s *state) *DataplaneState {
	facts := e.kernel.facts
	want := &DataplaneState{
		HostPorts: facts.Bound, Locals: facts.Locals, Routing: facts.Routing,
		Detour: e.kernel.detour, Cutter: e.kernel.cutter, BindTCP: e.cfg.BindTCP,
		MaxFlows: e.cfg.MaxFlows, MaxFlowRate: e.cfg.MaxFlowRate, Timeouts: e.cfg.Timeouts,
		Denied: s.denied.prefixes(), ClosedPorts: e.cfg.Guard.ClosedPorts,
		SourceRate: e.cfg.Guard.SourceRate, SourceBurst: e.cfg.Guard.SourceBurst,
	}
	for _, n := range s.sortedNetworks() {
		if bridge, ok := e.kernel.bridges[n.ID]; ok {
			d := n.dataplane(bridge, e.cfg.Timeouts)
			// The network may have been made where this was supported.
			d.Splice = d.Splice && e.cfg.Splice
			want.Networks = append(want.Networks, d)
		}
	}
	for _, c := range s.sortedContainers() {
		for _, ep := range c.Endpoints {
			if e.ready(ep) {
				want.Endpoints = append(want.Endpoints, DataplaneEndpoint{
					Network: s.networks[ep.Network].Index, HostIndex: e.kernel.ends[ep.ID].HostIndex,
					NamespaceID: e.kernel.ends[ep.ID].NamespaceID,
					MAC:         net.HardwareAddr(ep.MAC), Addrs: ep.addrs(), AlsoOn: s.otherNetworks(c, ep), Incarnation: ep.Incarnation,
				})
			}
		}
		if list := e.published(s, c); len(list) > 0 {
			want.Published = append(want.Published, list)
		}
	}
	if len(e.served) > len(s.containers) {
		// Those of requests that were undone.
		maps.DeleteFunc(e.served, func(id string, _ servedPorts) bool { return s.containers[id] == nil })
	}
	for _, u := range e.uplinks() {
		want.Uplinks = append(want.Uplinks, DataplaneUplink{
			Index: u.Index, Ethernet: u.Ethernet, XDP: e.cfg.Guard.XDP.mode(u), MTU: u.MTU, Addrs: u.Addrs,
		})
	}
	return want
}

// otherNetworks are the networks that a container is on besides an endpoint's, by index.
func (s *state) otherNetworks(c *container, not *endpoint) []uint32 {
	var others []uint32
	for _, ep := range c.Endpoints {
		if ep != not {
			others = append(others, s.networks[ep.Network].Index)
		}
	}
	return others
}

func (n *network) dataplane(bridge BridgeInfo, common Timeouts) DataplaneNetwork {
	d := DataplaneNetwork{
		ID: n.Index, BridgeIndex: bridge.Index, BridgeMAC: bridge.MAC, MTU: n.MTU, Internal: n.Internal,
		Masquerade4: n.Masquerade && n.IPv4 != nil && !n.Internal,
		Masquerade6: n.Masquerade && n.IPv6 != nil && !n.Internal,
		SNAT4:       n.HostIPv4, SNAT6: n.HostIPv6,
		AnyRemote: n.NAT.AnyRemote, Timeouts: n.NAT.timeouts(common),
		Splice: n.Splice.On, SplicePorts: n.Splice.Ports,
	}
	for _, a := range []*addressing{n.IPv4, n.IPv6} {
		if a != nil {
			d.Subnets = append(d.Subnets, a.Subnet)
			d.Gateways = append(d.Gateways, a.Gateway)
		}
	}
	return d
}

// servedPorts are a container's published ports as the packet programs were told of them, and what that was made of.
type servedPorts struct {
	container *container
	ep4, ep6  *endpoint
	list      []DataplanePort
}

// published is what the packet programs are told of a container's ports. It is made anew only when what it is made of is: there
// may be tens of thousands beside the ones that a request is about.
func (e *Engine) published(s *state, c *container) []DataplanePort {
	made := servedPorts{container: c}
	made.ep4, made.ep6 = s.gateways(c)
	if made.ep4 != nil && !e.ready(made.ep4) || made.ep6 != nil && !e.ready(made.ep6) {
		return e.servePorts(made.ep4, made.ep6, c)
	}
	if before := e.served[c.ID]; before.container == c && before.ep4 == made.ep4 && before.ep6 == made.ep6 {
		return before.list
	}
	made.list = e.servePorts(made.ep4, made.ep6, c)
	e.served[c.ID] = made
	return made.list
}

func (e *Engine) servePorts(gw4, gw6 *endpoint, c *container) []DataplanePort {
	list := make([]DataplanePort, 0, len(c.Ports))
	for _, p := range c.Ports {
		ep, addr := target(p.HostIP, gw4, gw6)
		if ep == nil || !e.ready(ep) {
			continue
		}
		incarnation := p.Incarnation + "/" + ep.Incarnation
		if n := len(list); n > 1 && list[n-2].Incarnation == incarnation {
			incarnation = list[n-2].Incarnation // one string for all
		}
		list = append(list, DataplanePort{
			HostIP: p.HostIP, HostPort: p.HostPort, More: p.More, Proto: protocols[p.Protocol],
			Target: netip.AddrPortFrom(addr, p.ContainerPort),
			// The port as it is served by this endpoint: when the default route moves, its flows end.
			Incarnation: incarnation,
		})
	}
	return list
}

// ready tells whether an endpoint's links are there.
func (e *Engine) ready(ep *endpoint) bool {
	_, bridge := e.kernel.bridges[ep.Network]
	_, end := e.kernel.ends[ep.ID]
	return bridge && end
}

func (ep *endpoint) addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, a := range []netip.Addr{ep.IPv4, ep.IPv6} {
		if a.IsValid() {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// uplinks are those of the host's that the configuration lets us use.
func (e *Engine) uplinks() []UplinkFacts {
	if len(e.cfg.Uplinks) == 0 {
		return e.kernel.facts.Uplinks
	}
	return slices.DeleteFunc(slices.Clone(e.kernel.facts.Uplinks), func(u UplinkFacts) bool {
		return !slices.ContainsFunc(e.cfg.Uplinks, func(pattern string) bool {
			ok, err := path.Match(pattern, u.Name)
			return err == nil && ok
		})
	})
}

// isBridge tells a bridge of ours from a veth's host end by its name.
func isBridge(name string) bool { return strings.HasPrefix(name, LinkPrefix+"-") }
