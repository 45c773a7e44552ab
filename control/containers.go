// SPDX-License-Identifier: Apache-2.0

package control

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/ipam"
)

// maxEndpoints is how many ports a bridge of the kernel's has (BR_MAX_PORTS, less the one it does not hand out).
const maxEndpoints = 1023

// AttachContainer makes a container of a network namespace. It fails with ErrNotFound (network or namespace),
// ErrAlreadyExists (name), ErrConflict (address, MAC or namespace taken), ErrPortInUse, ErrInvalidArgument or
// ErrResourceExhausted.
func (e *Engine) AttachContainer(ctx context.Context, req api.ContainerAttach) (api.ContainerAttached, error) {
	var made *container
	err := e.request(ctx, "attach container "+cmp.Or(req.Name, req.Namespace), func(next *state) (err error) {
		made, err = e.planContainer(ctx, next, req)
		return err
	})
	if err != nil {
		return api.ContainerAttached{}, err
	}
	return api.ContainerAttached{ID: made.ID, Name: made.Name, Warnings: e.state.Load().warnings(made)}, nil
}

func (e *Engine) planContainer(ctx context.Context, next *state, req api.ContainerAttach) (*container, error) {
	c := &container{ID: newID(), Name: req.Name, Created: time.Now().UTC(), Labels: maps.Clone(req.Labels)}
	if c.Name == "" {
		c.Name = c.ID[:12]
	}
	if err := checkName("container", c.Name); err != nil {
		return nil, err
	}
	if len(req.Networks) == 0 {
		return nil, api.Errorf(api.InvalidArgument, "no network named").WithHint("make one: vethway network create NAME")
	}
	for _, other := range next.containers {
		if other.Name == c.Name {
			return nil, api.Errorf(api.AlreadyExists, "container %s exists already", c.Name).
				WithHint("choose another name, or detach it first: vethway detach %s", c.Name)
		}
	}
	ref, err := e.openNamespace(ctx, req.Namespace)
	if err != nil {
		return nil, err
	}
	c.Namespace = ref
	for _, other := range next.containers {
		if other.Namespace.Cookie == ref.Cookie {
			return nil, api.Errorf(api.Conflict, "namespace %s is container %s already", req.Namespace, other.Name).
				WithHint("connect it to further networks: vethway network connect NETWORK %s", other.Name)
		}
	}
	for _, want := range req.Networks {
		if err := e.planEndpoint(next, c, want.Network, want.EndpointConfig); err != nil {
			return nil, err
		}
	}
	if err := e.planPorts(ctx, next, c, req.Publish); err != nil {
		return nil, err
	}
	next.containers[c.ID] = c
	return c, nil
}

func (e *Engine) openNamespace(ctx context.Context, ref string) (NamespaceRef, error) {
	if ref == "" {
		return NamespaceRef{}, api.Errorf(api.InvalidArgument, "no network namespace named").
			WithHint("give a path, a process ID, or a name that `ip netns` lists")
	}
	ns, err := e.cfg.Links.OpenNamespace(ctx, ref)
	switch {
	case err == nil:
		return ns, nil
	case ctx.Err() != nil:
		return ns, err
	case errors.Is(err, ErrHostNamespace):
		return ns, api.Errorf(api.InvalidArgument, "%w", err).WithHint("a container needs a network namespace of its own")
	case namespaceGone(err):
		return ns, api.Errorf(api.NotFound, "%w", err).WithHint("see what there is: ip netns")
	}
	refusal := api.Errorf(api.InvalidArgument, "%w", err)
	if errors.Is(err, fs.ErrPermission) {
		return ns, refusal.WithHint("vethwayd needs CAP_SYS_PTRACE to look at another user's process; or give a path, or a name that `ip netns` lists")
	}
	return ns, refusal
}

// planEndpoint connects a container, which is not part of a state yet, to a network.
func (e *Engine) planEndpoint(next *state, c *container, networkRef string, cfg api.EndpointConfig) error {
	n, err := next.network(networkRef)
	if err != nil {
		return err
	}
	if c.on(n.ID) != nil {
		return api.Errorf(api.AlreadyExists, "container %s is on network %s already", c.Name, n.Name)
	}
	ep := &endpoint{
		ID: next.newEndpointID(), Network: n.ID, Aliases: slices.Clone(cfg.Aliases), GwPriority: cfg.GwPriority,
		Interface: cfg.InterfaceName, Incarnation: newIncarnation(),
	}
	if err := checkEndpoint(n, c, cfg); err != nil {
		return err
	}
	on := next.endpointsOf(n.ID)
	if len(on) >= maxEndpoints {
		return api.Errorf(api.ResourceExhausted, "network %s is full: a bridge has room for %d containers", n.Name, maxEndpoints).
			WithHint("make another network: vethway network create NAME")
	}
	ep.IPv4, ep.Static4 = cfg.IPAMConfig.IPv4Address, cfg.IPAMConfig.IPv4Address.IsValid()
	ep.IPv6, ep.Static6 = cfg.IPAMConfig.IPv6Address, cfg.IPAMConfig.IPv6Address.IsValid()
	books := e.pools[n.ID]
	if err := books.allocate(c.Name, ep); err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	next.leases[n.ID] = books.lease()
	if err := chooseMAC(n, on, ep, cfg.MacAddress); err != nil {
		return err
	}
	c.Endpoints = append(slices.Clone(c.Endpoints), ep)
	return nil
}

// checkEndpoint checks what is asked for of an endpoint against its network and container.
func checkEndpoint(n *network, c *container, cfg api.EndpointConfig) error {
	ip4, ip6 := cfg.IPAMConfig.IPv4Address, cfg.IPAMConfig.IPv6Address
	switch {
	case ip4.IsValid() && !ip4.Is4(), ip6.IsValid() && (!ip6.Is6() || ip6.Is4In6() || ip6.Zone() != ""):
		return api.Errorf(api.InvalidArgument, "static addresses %s and %s: one is of the wrong family", ip4, ip6)
	case ip4.IsValid() && n.IPv4 == nil:
		return api.Errorf(api.InvalidArgument, "address %s: network %s has no IPv4", ip4, n.Name)
	case ip6.IsValid() && n.IPv6 == nil:
		return api.Errorf(api.InvalidArgument, "address %s: network %s has no IPv6", ip6, n.Name).
			WithHint("make a network with --ipv6")
	}
	for _, alias := range cfg.Aliases {
		if err := checkName("alias", alias); err != nil {
			return err
		}
	}
	if err := checkInterface(cfg.InterfaceName); err != nil {
		return err
	}
	for _, other := range c.Endpoints {
		if cfg.InterfaceName != "" && other.Interface == cfg.InterfaceName {
			return api.Errorf(api.Conflict, "container %s has an interface %s already", c.Name, cfg.InterfaceName)
		}
	}
	return nil
}

// chooseMAC gives an endpoint the MAC that is asked for, or one that nobody on the network has.
func chooseMAC(n *network, on []*container, ep *endpoint, asked string) error {
	taken := map[string]string{n.MAC.String(): "the bridge"}
	for _, c := range on {
		taken[c.on(n.ID).MAC.String()] = "container " + c.Name
	}
	if asked != "" {
		hw, err := ipam.ParseMAC(asked)
		if err != nil {
			return err
		}
		if owner, ok := taken[hw.String()]; ok {
			return api.Errorf(api.Conflict, "MAC address %s on network %s is in use by %s", hw, n.Name, owner)
		}
		ep.MAC = mac(hw)
		return nil
	}
	hw, err := ipam.MAC(ep.IPv4, rand.Reader)
	for err == nil && taken[hw.String()] != "" {
		hw, err = ipam.RandomMAC(rand.Reader)
	}
	ep.MAC = mac(net.HardwareAddr(hw))
	return err
}

// DetachContainer takes a container off all its networks and withdraws its ports. Its addresses stay its own as long
// as nobody else needs them.
func (e *Engine) DetachContainer(ctx context.Context, ref string) error {
	return e.request(ctx, "detach container "+ref, func(next *state) error {
		c, err := next.container(ref)
		if err != nil {
			return err
		}
		e.forget(next, c)
		return nil
	})
}

// ConnectNetwork connects a container to a further network.
func (e *Engine) ConnectNetwork(ctx context.Context, ref string, req api.NetworkConnect) error {
	return e.request(ctx, fmt.Sprintf("connect container %s to network %s", req.Container, ref), func(next *state) error {
		old, err := next.container(req.Container)
		if err != nil {
			return err
		}
		c := *old
		if err := e.planEndpoint(next, &c, ref, req.EndpointConfig); err != nil {
			return err
		}
		next.containers[c.ID] = &c
		return nil
	})
}

// DisconnectNetwork takes a container off a network.
func (e *Engine) DisconnectNetwork(ctx context.Context, ref string, req api.NetworkDisconnect) error {
	return e.request(ctx, fmt.Sprintf("disconnect container %s from network %s", req.Container, ref), func(next *state) error {
		n, err := next.network(ref)
		if err != nil {
			return err
		}
		old, err := next.container(req.Container)
		if err != nil {
			return err
		}
		ep := old.on(n.ID)
		if ep == nil {
			return api.Errorf(api.NotFound, "container %s is not on network %s", old.Name, n.Name).
				WithHint("see who is: vethway network inspect %s", n.Name)
		}
		c := *old
		c.Endpoints = slices.DeleteFunc(slices.Clone(c.Endpoints), func(other *endpoint) bool { return other == ep })
		next.containers[c.ID] = &c
		e.pools[n.ID].release(ep)
		next.leases[n.ID] = e.pools[n.ID].lease()
		return nil
	})
}
