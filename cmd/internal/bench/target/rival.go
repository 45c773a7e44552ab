// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// The containers of rivals.CommonSpec, and a port for what is not published.
const (
	server  = "c1"
	client  = "c2"
	network = "one"
	port    = 5001
)

// manner is what a target does to addresses on the way out.
type manner int

const (
	translates manner = iota
	routes
	proxies // it has nothing but published ports
)

// hosted is a site with a host between the remote and the containers.
type hosted struct {
	name   string
	manner manner
	topo   *netlab.Topology
	cgroup *netlab.Cgroup
	target rivals.Target
	spec   rivals.Spec
}

// rival makes the maker of a site out of a rivals.Target that is made but not set up.
func rival(name string, how manner, make func(Options) (rivals.Target, error)) func(context.Context, Options) (Site, error) {
	return func(ctx context.Context, o Options) (Site, error) {
		h := &hosted{name: name, manner: how}
		if err := h.build(ctx, o.withDefaults(), make); err != nil {
			return nil, errors.Join(fmt.Errorf("build target %s: %w", name, err), h.Close())
		}
		return h, nil
	}
}

func (h *hosted) build(ctx context.Context, o Options, make func(Options) (rivals.Target, error)) (err error) {
	if h.cgroup, err = o.Cgroup.Threads(h.name); err != nil {
		return err
	}
	o.own = h.cgroup.Path()
	if h.topo, err = netlab.New(netlab.Config{Name: "bench-" + h.name}); err != nil {
		return err
	}
	inner, err := make(o)
	if err != nil {
		return err
	}
	h.target, h.spec = inner, o.Spec
	return h.target.Setup(ctx, h.topo, h.spec)
}

// bigTCP makes a maker's target with BIG TCP on all interfaces.
func bigTCP(make func(Options) (rivals.Target, error)) func(Options) (rivals.Target, error) {
	return func(o Options) (rivals.Target, error) {
		inner, err := make(o)
		if err != nil {
			return nil, err
		}
		return rivals.NewBigTCP(inner), nil
	}
}

func vethway(o Options) (rivals.Target, error) { return vethwayOf("", o) }

func otherBuild(o Options) (rivals.Target, error) {
	if o.Other == "" {
		return nil, fmt.Errorf("%w: --other names no vethwayd", ErrUnavailable)
	}
	return vethwayOf(o.Other, o)
}

// vethwayOf is the vethway of a program; empty: of the one beside this one.
func vethwayOf(program string, o Options) (rivals.Target, error) {
	cfg := rivals.VethwayConfig{Program: program, Flags: o.flags()}
	if o.Flows > 0 {
		cfg.Flags = append(cfg.Flags, fmt.Sprintf("--flow-table-size=%d", o.Flows))
	}
	return rivals.NewVethway(cfg)
}

// spliced is vethway with networks that ask for it.
func spliced(o Options) (rivals.Target, error) {
	return rivals.NewVethway(rivals.VethwayConfig{Flags: o.flags(), Options: map[string]string{api.OptionSplice: "true"}})
}

func routing(Options) (rivals.Target, error) { return rivals.NewRouting(), nil }

func redirect(Options) (rivals.Target, error) { return rivals.NewRedirect(), nil }

func leastNAT(Options) (rivals.Target, error) { return rivals.NewLeastNAT(), nil }

func leastSplice(o Options) (rivals.Target, error) { return rivals.NewLeastSplice(o.own), nil }

func direct(Options) (rivals.Target, error) { return rivals.NewDirect(), nil }

// iptables is Docker as it comes, with its userland proxy for what the rules leave to it.
func iptables(backend rivals.Backend) func(Options) (rivals.Target, error) {
	return func(o Options) (rivals.Target, error) {
		return rivals.NewIptables(rivals.IptablesConfig{Backend: backend, UserlandProxy: o.userlandProxy()})
	}
}

func (h *hosted) Name() string { return h.name }

func (h *hosted) Cgroup() string { return h.cgroup.Path() }

func (h *hosted) Path(s Scenario, proto string, f rivals.Family) (Path, error) {
	_, c1, err := h.spec.Container(server)
	if err != nil {
		return Path{}, err
	}
	_, c2, err := h.spec.Container(client)
	if err != nil {
		return Path{}, err
	}
	inner, neighbour := c1.IP4, c2.IP4
	remote, outer := h.topo.Remote4, h.topo.Host4
	if f == rivals.IPv6 {
		inner, neighbour = c1.IP6, c2.IP6
		remote, outer = h.topo.Remote6, h.topo.Host6
	}
	switch {
	case s.place() != "":
		return h.published(c1, s.place(), proto, f)
	case h.manner == proxies:
		return Path{}, ErrNoPath
	case s == Masquerade:
		path := Path{Client: h.target.Container(server), Server: h.topo.Remote, Peer: outer}
		path.Listen = netip.AddrPortFrom(remote, port)
		path.Dial = path.Listen
		if h.manner == routes {
			path.Peer = inner
		}
		return path, nil
	case s == ContainerToContainer:
		path := Path{Client: h.target.Container(client), Server: h.target.Container(server), Peer: neighbour}
		path.Listen = netip.AddrPortFrom(inner, port)
		path.Dial = path.Listen
		return path, nil
	}
	return Path{}, ErrNoPath
}

func (h *hosted) published(c rivals.Container, from rivals.Place, proto string, f rivals.Family) (Path, error) {
	inner := c.IP4
	if f == rivals.IPv6 {
		inner = c.IP6
	}
	for _, p := range c.Publish {
		if p.Proto != proto {
			continue
		}
		access, err := h.target.Access(from, c.Name, p, f)
		if errors.Is(err, rivals.ErrNoAccess) {
			return Path{}, ErrNoPath
		}
		if err != nil {
			return Path{}, fmt.Errorf("reach published port %s of %s: %w", p, h.name, err)
		}
		return Path{
			Client: access.Client, Server: h.target.Container(c.Name), Peer: access.Peer,
			Listen: netip.AddrPortFrom(inner, p.ContainerPort), Dial: access.Dial,
		}, nil
	}
	return Path{}, ErrNoPath
}

func (h *hosted) Proof(ctx context.Context) (string, error) { return h.target.Proof(ctx) }

func (h *hosted) Counters(ctx context.Context) (rivals.Counters, error) {
	return h.target.Counters(ctx)
}

func (h *hosted) Prove(s Scenario, f rivals.Family, before, after rivals.Counters) (string, error) {
	return rivals.Prove(h.target, s.way(), f, before, after)
}

func (h *hosted) Datagrams(ctx context.Context, on bool) error {
	return rivals.Datagrams(ctx, h.target, on)
}

func (h *hosted) Pin(cpus []int) error { return rivals.PinHelpers(h.target, cpus) }

func (h *hosted) Namespaces() []*netlab.Namespace {
	return []*netlab.Namespace{h.topo.Host, h.topo.Remote, h.target.Container(server), h.target.Container(client)}
}

func (h *hosted) Close() error {
	var errs []error
	if h.target != nil {
		errs = append(errs, h.target.Close())
	}
	if h.topo != nil {
		errs = append(errs, h.topo.Close())
	}
	if h.cgroup != nil {
		errs = append(errs, h.cgroup.Close())
	}
	return errors.Join(errs...)
}
