// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
)

// VethwayConfig says which vethway it is.
type VethwayConfig struct {
	// Program is vethwayd's path; empty: beside the running program, or in PATH.
	Program string
	// Flags are more flags for the daemon, such as --attach=clsact.
	Flags []string
	// Options are given to every network, over those of the spec.
	Options map[string]string
}

// Vethway is vethway itself: a real vethwayd in the host's namespace.
type Vethway struct {
	site
	cfg VethwayConfig
	lab *hostlab.Lab
}

// NewVethway makes the target; nothing happens before Setup.
func NewVethway(cfg VethwayConfig) (*Vethway, error) {
	if cfg.Program == "" {
		path, err := hostlab.Find()
		if err != nil {
			return nil, fmt.Errorf("make vethway target: %w", err)
		}
		cfg.Program = path
	}
	return &Vethway{cfg: cfg}, nil
}

// Name is "vethway".
func (t *Vethway) Name() string { return "vethway" }

// Lab is the instance, once it is set up: its client, and the daemon to be killed and started again.
func (t *Vethway) Lab() *hostlab.Lab { return t.lab }

// Setup starts the daemon, and has it make networks and containers.
func (t *Vethway) Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setUp(ctx, topo, spec); err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *Vethway) setUp(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	t.topo, t.spec, t.containers = topo, spec, map[string]*netlab.Namespace{}
	lab, err := hostlab.Start(ctx, hostlab.Config{Topology: topo, Program: t.cfg.Program, Flags: t.cfg.Flags})
	if err != nil {
		return err
	}
	t.lab = lab
	for _, n := range spec.Networks {
		if err := t.createNetwork(ctx, n); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		for _, c := range n.Containers {
			if err := t.attachContainer(ctx, n, c); err != nil {
				return fmt.Errorf("container %s: %w", c.Name, err)
			}
		}
	}
	return nil
}

func (t *Vethway) createNetwork(ctx context.Context, n Network) error {
	has4, has6 := n.Subnet4.IsValid(), n.Subnet6.IsValid()
	options := maps.Clone(n.Options)
	if options == nil {
		options = make(map[string]string)
	}
	maps.Copy(options, t.cfg.Options)
	req := api.NetworkCreate{Name: n.Name, EnableIPv4: &has4, EnableIPv6: &has6, Options: options}
	if has4 {
		req.IPAM.Config = append(req.IPAM.Config, api.IPAMConfig{Subnet: n.Subnet4, Gateway: n.Gateway4})
	}
	if has6 {
		req.IPAM.Config = append(req.IPAM.Config, api.IPAMConfig{Subnet: n.Subnet6, Gateway: n.Gateway6})
	}
	_, err := t.lab.Client.CreateNetwork(ctx, req)
	return err
}

func (t *Vethway) attachContainer(ctx context.Context, n Network, c Container) error {
	ns, err := t.newContainer(c.Name)
	if err != nil {
		return err
	}
	conn := api.NetworkConnection{Network: n.Name}
	conn.IPAMConfig = api.EndpointIPAMConfig{IPv4Address: c.IP4, IPv6Address: c.IP6}
	conn.InterfaceName = containerDev
	req := api.ContainerAttach{Name: c.Name, Namespace: ns.Path(), Networks: []api.NetworkConnection{conn}}
	for _, p := range c.Publish {
		req.Publish = append(req.Publish, p.spec())
	}
	_, err = t.lab.Client.AttachContainer(ctx, req)
	return err
}

// spec is the port in the words of the API.
func (p Port) spec() api.PublishSpec {
	return api.PublishSpec{HostIP: p.HostIP, HostPort: p.HostPort, ContainerPort: p.ContainerPort, Protocol: p.Proto}
}

// Publish publishes a port.
func (t *Vethway) Publish(ctx context.Context, container string, p Port) error {
	_, err := t.lab.Client.PublishPorts(ctx, container, api.PortPublish{Publish: []api.PublishSpec{p.spec()}})
	if err != nil {
		return fmt.Errorf("publish %s of %s: %w", p, container, err)
	}
	return nil
}

// Unpublish withdraws it.
func (t *Vethway) Unpublish(ctx context.Context, container string, p Port) error {
	_, err := t.lab.Client.UnpublishPorts(ctx, container, api.PortUnpublish{Publish: []api.PublishSpec{p.spec()}})
	if err != nil {
		return fmt.Errorf("unpublish %s of %s: %w", p, container, err)
	}
	return nil
}

// Datagrams withdraws a target's ports of UDP, or publishes them again, if it is
// vethway: while there is one, the kernel asks for programs at every socket of
// the machine. Targets that stand beside it are to be measured without that.
func Datagrams(ctx context.Context, t Target, on bool) error {
	if big, ok := t.(*BigTCP); ok {
		t = big.Target
	}
	if v, ok := t.(*Vethway); ok {
		return v.datagrams(ctx, on)
	}
	return nil
}

func (t *Vethway) datagrams(ctx context.Context, on bool) error {
	for _, n := range t.spec.Networks {
		for _, c := range n.Containers {
			var ports []api.PublishSpec
			for _, p := range c.Publish {
				if p.Proto == "udp" {
					ports = append(ports, p.spec())
				}
			}
			if len(ports) == 0 {
				continue
			}
			var err error
			if on {
				_, err = t.lab.Client.PublishPorts(ctx, c.Name, api.PortPublish{Publish: ports})
			} else {
				_, err = t.lab.Client.UnpublishPorts(ctx, c.Name, api.PortUnpublish{Publish: ports})
			}
			if err != nil {
				return fmt.Errorf("ports of UDP of %s: %w", c.Name, err)
			}
		}
	}
	return nil
}

// Reach is the host's address.
func (t *Vethway) Reach(_ string, p Port, f Family) (netip.AddrPort, error) { return t.hostReach(p, f) }

// Access is by the host's addresses. Containers see each other as who they
// are, and their own host and themselves as the gateway.
func (t *Vethway) Access(from Place, container string, p Port, f Family) (Access, error) {
	a, err := t.hostAccess(from, container, p, f)
	if err == nil && (from == FromHost || from == FromLoopback || from == FromSelf) {
		a.Peer = t.gateway(container, f)
	}
	return a, err
}

// Close uninstalls, while the containers are still there, and then takes them down.
func (t *Vethway) Close() error {
	var err error
	if t.lab != nil {
		err = t.lab.Close()
		t.lab = nil
	}
	return errors.Join(err, t.site.Close())
}
