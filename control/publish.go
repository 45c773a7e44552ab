// SPDX-License-Identifier: Apache-2.0

package control

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/ports"
)

// PublishPorts publishes ports of a container: all, or none and an error.
func (e *Engine) PublishPorts(ctx context.Context, ref string, req api.PortPublish) ([]api.Port, error) {
	var id string
	var old int
	err := e.request(ctx, "publish ports of "+ref, func(next *state) error {
		before, err := next.container(ref)
		if err != nil {
			return err
		}
		if len(req.Publish) == 0 {
			return api.Errorf(api.InvalidArgument, "no port named").WithHint("as in: vethway port publish %s 8080:80", ref)
		}
		c := *before
		id, old = c.ID, len(c.Ports)
		if err := e.planPorts(ctx, next, &c, req.Publish); err != nil {
			return err
		}
		next.containers[c.ID] = &c
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := e.state.Load()
	c := s.containers[id]
	if c == nil || len(c.Ports) < old {
		return nil, nil // detached meanwhile
	}
	return s.portsOf(c, c.Ports[old:]), nil
}

// planPorts adds published ports to a container that is not part of a state yet.
func (e *Engine) planPorts(ctx context.Context, next *state, c *container, specs []api.PublishSpec) error {
	if len(specs) == 0 {
		return nil
	}
	if err := e.cfg.Links.HostPorts(ctx, &e.kernel.facts); err != nil {
		return err
	}
	e.learnedPorts.Add(1)
	facts := e.kernel.facts
	bindings, err := e.ports.Reserve(ports.Request{
		Owner: c.Name, Specs: specs, Host: newHostPorts(ctx, e.cfg.Links, facts, e.cfg.NATPorts), Range: portRange(facts),
	})
	if err != nil {
		return err
	}
	set := *next.settings
	set.LastPorts = e.ports.Last()
	next.settings = &set
	c.Ports = slices.Grow(slices.Clone(c.Ports), len(bindings))
	incarnation := newIncarnation()
	for _, b := range bindings {
		c.Ports = append(c.Ports, port{Binding: b, Incarnation: incarnation})
	}
	return nil
}

func portRange(facts HostFacts) ports.Range {
	return ports.Range{First: facts.PortRange[0], Last: facts.PortRange[1], Reserved: func(p uint16) bool {
		return slices.ContainsFunc(facts.ReservedPorts, func(s PortSpan) bool { return s.First <= p && p <= s.Last })
	}}
}

// hostPorts tells which ports processes of the host have.
type hostPorts struct {
	ctx   context.Context // of the one request it is made for
	links Links
	bound map[string]*[1 << 16]bool // by protocol
	nat   PortSpan
}

func newHostPorts(ctx context.Context, links Links, facts HostFacts, nat PortSpan) *hostPorts {
	h := &hostPorts{ctx: ctx, links: links, nat: nat, bound: make(map[string]*[1 << 16]bool)}
	for name, proto := range protocols {
		for _, p := range facts.Bound {
			if p.Proto != proto {
				continue
			}
			if h.bound[name] == nil {
				h.bound[name] = new([1 << 16]bool)
			}
			h.bound[name][p.Port] = true
		}
	}
	return h
}

// PortOwner implements ports.Host. To ask the kernel who has a port is expensive: only ports that somebody has are
// asked for.
func (h *hostPorts) PortOwner(protocol string, addr netip.Addr, number uint16) (string, bool, error) {
	if h.nat.Holds(number) {
		return fmt.Sprintf("NAT (vethwayd --nat-ports %s)", h.nat), true, nil
	}
	if bound := h.bound[protocol]; bound == nil || !bound[number] {
		return "", false, nil
	}
	owner, ok, err := h.links.PortOwner(h.ctx, protocols[protocol], addr, number)
	if err != nil || !ok {
		return "", false, err
	}
	if owner.PID == 0 {
		return "a process that cannot be seen from here", true, nil
	}
	return fmt.Sprintf("%s (pid %d)", cmp.Or(owner.Command, "a process"), owner.PID), true, nil
}

// UnpublishPorts withdraws published ports and returns them. A spec that matches none is ErrNotFound, and then nothing
// is withdrawn.
func (e *Engine) UnpublishPorts(ctx context.Context, ref string, req api.PortUnpublish) ([]api.Port, error) {
	var withdrawn []api.Port
	err := e.request(ctx, "unpublish ports of "+ref, func(next *state) error {
		before, err := next.container(ref)
		if err != nil {
			return err
		}
		c := *before
		gone, left, err := withdraw(&c, req.Publish)
		if err != nil {
			return err
		}
		c.Ports = left
		withdrawn = next.portsOf(before, gone)
		for _, p := range gone {
			e.ports.Release([]ports.Binding{p.Binding})
		}
		next.containers[c.ID] = &c
		return nil
	})
	if err != nil {
		return nil, err
	}
	return withdrawn, nil
}

// withdraw parts the ports of a container into those that specs mean, and those that are left.
func withdraw(c *container, specs []api.PublishSpec) (gone, left []port, err error) {
	if len(specs) == 0 {
		return nil, nil, api.Errorf(api.InvalidArgument, "no port named").WithHint("see what there is: vethway port ls")
	}
	selection := ports.Select(c.bindings())
	for _, s := range specs {
		if !selection.Add(s) {
			return nil, nil, api.Errorf(api.NotFound, "container %s does not publish %s", c.Name, ports.Format(s)).
				WithHint("see what it does: vethway port ls %s", c.Name)
		}
	}
	for i, p := range c.Ports {
		selection.Split(i, func(b ports.Binding, chosen bool) {
			if chosen {
				gone = append(gone, port{b, p.Incarnation})
			} else {
				left = append(left, port{b, p.Incarnation})
			}
		})
	}
	return gone, left, nil
}

// Ports lists published ports, by container name.
func (e *Engine) Ports(_ context.Context, filter api.PortFilter) ([]api.Port, error) {
	s := e.state.Load()
	if filter.Container != "" {
		c, err := s.container(filter.Container)
		if err != nil {
			return nil, err
		}
		return s.portsOf(c, c.Ports), nil
	}
	var all []api.Port
	for _, c := range s.sortedContainers() {
		all = append(all, s.portsOf(c, c.Ports)...)
	}
	return all, nil
}
