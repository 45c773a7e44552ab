// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/vethway/vethway/control/api"
)

// How the state is shown. Reading waits for nobody: it takes the state of the moment.

// Networks lists the networks that match all filters, by name.
func (e *Engine) Networks(_ context.Context, filters []string) ([]api.Network, error) {
	match, err := parseFilters(filters)
	if err != nil {
		return nil, err
	}
	s := e.state.Load()
	var list []api.Network
	for _, n := range s.sortedNetworks() {
		if match(n) {
			list = append(list, s.viewNetwork(n))
		}
	}
	return list, nil
}

// Network shows one network. It fails with ErrNotFound.
func (e *Engine) Network(_ context.Context, ref string) (api.Network, error) {
	s := e.state.Load()
	n, err := s.network(ref)
	if err != nil {
		return api.Network{}, err
	}
	return s.viewNetwork(n), nil
}

func (s *state) viewNetwork(n *network) api.Network {
	v := api.Network{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: api.Driver,
		EnableIPv4: n.IPv4 != nil, EnableIPv6: n.IPv6 != nil, Internal: n.Internal,
		IPAM:       api.IPAM{Driver: "default"},
		Containers: map[string]api.NetworkContainer{}, Options: notNil(n.Options), Labels: notNil(n.Labels),
		Index: n.Index, Bridge: n.Bridge, MTU: n.MTU,
	}
	for _, a := range []*addressing{n.IPv4, n.IPv6} {
		if a != nil {
			v.IPAM.Config = append(v.IPAM.Config, api.IPAMConfig{
				Subnet: a.Subnet, IPRange: a.Range, Gateway: a.Gateway, AuxiliaryAddresses: maps.Clone(a.Aux),
			})
		}
	}
	for _, c := range s.containers {
		if ep := c.on(n.ID); ep != nil {
			v.Containers[c.ID] = api.NetworkContainer{
				Name: c.Name, EndpointID: ep.ID, MacAddress: ep.MAC.String(),
				IPv4Address: within(ep.IPv4, n.IPv4), IPv6Address: within(ep.IPv6, n.IPv6),
			}
		}
	}
	return v
}

// within gives an address its subnet's length.
func within(addr netip.Addr, a *addressing) netip.Prefix {
	if a == nil || !addr.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, a.Subnet.Bits())
}

func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

// Containers lists the containers, by name.
func (e *Engine) Containers(context.Context) ([]api.Container, error) {
	s := e.state.Load()
	var list []api.Container
	for _, c := range s.sortedContainers() {
		list = append(list, s.viewContainer(c))
	}
	return list, nil
}

// Container shows one container. It fails with ErrNotFound.
func (e *Engine) Container(_ context.Context, ref string) (api.Container, error) {
	s := e.state.Load()
	c, err := s.container(ref)
	if err != nil {
		return api.Container{}, err
	}
	return s.viewContainer(c), nil
}

func (s *state) viewContainer(c *container) api.Container {
	v := api.Container{
		ID: c.ID, Name: c.Name, Created: c.Created, Labels: notNil(c.Labels),
		Namespace:       api.Namespace{Path: c.Namespace.Path, Cookie: c.Namespace.Cookie},
		NetworkSettings: api.NetworkSettings{Ports: map[string][]api.PortBinding{}, Networks: map[string]api.EndpointSettings{}},
	}
	gw4, gw6 := s.gateways(c)
	for _, ep := range c.Endpoints {
		n := s.networks[ep.Network]
		v.NetworkSettings.Networks[n.Name] = viewEndpoint(n, ep, ep == gw4, ep == gw6)
	}
	for _, p := range c.Ports {
		if ep, _ := target(p.HostIP, gw4, gw6); ep == nil {
			continue // reserved, but not served
		}
		for i := range p.Len() {
			key := strconv.Itoa(int(p.ContainerPort)+i) + "/" + p.Protocol
			v.NetworkSettings.Ports[key] = append(v.NetworkSettings.Ports[key],
				api.PortBinding{HostIP: p.HostIP, HostPort: strconv.Itoa(int(p.HostPort) + i)})
		}
	}
	return v
}

func viewEndpoint(n *network, ep *endpoint, default4, default6 bool) api.EndpointSettings {
	v := api.EndpointSettings{
		Aliases: append([]string{}, ep.Aliases...), MacAddress: ep.MAC.String(), GwPriority: ep.GwPriority,
		NetworkID: n.ID, EndpointID: ep.ID, IPAddress: ep.IPv4, GlobalIPv6Address: ep.IPv6,
		InterfaceName: ep.Interface, HostInterface: ep.hostName(), DefaultRoute: []string{},
	}
	if ep.Static4 {
		v.IPAMConfig.IPv4Address = ep.IPv4
	}
	if ep.Static6 {
		v.IPAMConfig.IPv6Address = ep.IPv6
	}
	if n.IPv4 != nil {
		v.IPPrefixLen = n.IPv4.Subnet.Bits()
	}
	if n.IPv6 != nil {
		v.GlobalIPv6PrefixLen = n.IPv6.Subnet.Bits()
	}
	if n.IPv4 != nil && !n.Internal {
		v.Gateway = n.IPv4.Gateway
	}
	if n.IPv6 != nil && !n.Internal {
		v.IPv6Gateway = n.IPv6.Gateway
	}
	if default4 {
		v.DefaultRoute = append(v.DefaultRoute, "ipv4")
	}
	if default6 {
		v.DefaultRoute = append(v.DefaultRoute, "ipv6")
	}
	return v
}

// portsOf shows ports of a container.
func (s *state) portsOf(c *container, list []port) []api.Port {
	gw4, gw6 := s.gateways(c)
	out := make([]api.Port, len(list))
	for i, p := range list {
		out[i] = api.Port{
			HostIP: p.HostIP, HostPort: p.HostPort, Protocol: p.Protocol, ContainerPort: p.ContainerPort,
			ContainerID: c.ID, Container: c.Name,
		}
		if p.More > 0 {
			out[i].HostPortEnd, out[i].ContainerPortEnd = p.HostPort+p.More, p.ContainerPort+p.More
		}
		if ep, addr := target(p.HostIP, gw4, gw6); ep != nil {
			out[i].Network = s.networks[ep.Network].Name
			out[i].Target = netip.AddrPortFrom(addr, p.ContainerPort)
		}
	}
	return out
}

// warnings are what somebody who attached a container should know.
func (s *state) warnings(c *container) []string {
	type number struct {
		protocol    string
		first, more uint16
	}
	var out []string
	gw4, gw6 := s.gateways(c)
	served := map[number]bool{}
	for _, p := range c.Ports {
		if ep, _ := target(p.HostIP, gw4, gw6); ep != nil {
			served[number{p.Protocol, p.HostPort, p.More}] = true
		}
	}
	for _, p := range c.Ports {
		if ep, _ := target(p.HostIP, gw4, gw6); ep == nil && !served[number{p.Protocol, p.HostPort, p.More}] {
			out = append(out, fmt.Sprintf("port %s leads nowhere: the container is on no network that could serve it", p.Binding))
		}
	}
	return out
}

// Status says how the engine is.
func (e *Engine) Status(context.Context) (api.Status, error) {
	s, r := e.state.Load(), e.report.Load()
	v := api.Status{
		Version: e.cfg.Version, PID: os.Getpid(), Started: e.started, UptimeSeconds: time.Since(e.started).Seconds(),
		Netns: e.cfg.Netns, StateFile: e.cfg.StateFile, AttachMode: e.cfg.AttachMode,
		Features: append([]string{}, e.cfg.Features...), FlowTable: e.cfg.FlowTable, Networks: len(s.networks), Containers: len(s.containers),
		LastReconcile: r.at, Degraded: append([]api.Condition{}, r.degraded...), Uplinks: []api.Uplink{},
	}
	for _, c := range s.containers {
		v.Endpoints += len(c.Endpoints)
		for _, p := range c.Ports {
			v.Ports += p.Len()
		}
	}
	for _, u := range r.uplinks {
		v.Uplinks = append(v.Uplinks, api.Uplink{
			Name: u.Name, Index: u.Index, MTU: u.MTU, Addresses: append([]netip.Addr{}, u.Addrs...),
		})
	}
	return v, nil
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
