// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

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
	req := api.NetworkCreate{Name: n.Name, EnableIPv4: &has4, EnableIPv6: &has6}
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

// Proof shows that what containers sent did not go through the stack of the host: its bridges did not see it, connection
// tracking knows nothing of it, and the flows counted what was translated.
func (t *Vethway) Proof(ctx context.Context) (string, error) {
	proof, err := t.prove(ctx)
	if err != nil {
		return "", fmt.Errorf("prove %s: %w", t.Name(), err)
	}
	return proof, nil
}

func (t *Vethway) prove(ctx context.Context) (string, error) {
	flows, err := t.lab.Client.Flows(ctx, api.FlowFilter{})
	if err != nil {
		return "", err
	}
	var translated uint64
	for _, f := range flows {
		translated += f.Packets + f.RPackets
	}
	sent, err := t.sent()
	if err != nil {
		return "", err
	}
	bridged, err := t.bridged(ctx)
	if err != nil {
		return "", err
	}
	tracked, err := t.tracked()
	if err != nil {
		return "", err
	}
	if tracked != 0 {
		return "", fmt.Errorf("connection tracking has %d entries", tracked)
	}
	if sent == 0 || bridged > sent/2 {
		return "", fmt.Errorf("the host's stack received %d of the %d packets that containers sent", bridged, sent)
	}
	return fmt.Sprintf("%d packets sent by containers, %d of them through the host's stack; %d packets in %d flows; no connection tracked",
		sent, bridged, translated, len(flows)), nil
}

// sent is the number of packets that the containers sent.
func (t *Vethway) sent() (n uint64, err error) {
	for _, ns := range t.containers {
		l, err := ns.Link(containerDev)
		if err != nil {
			return 0, err
		}
		n += l.TxPackets
	}
	return n, nil
}

// bridged is the number of packets that the host's stack received from its bridges.
func (t *Vethway) bridged(ctx context.Context) (n uint64, err error) {
	networks, err := t.lab.Client.Networks(ctx, nil)
	if err != nil {
		return 0, err
	}
	for _, network := range networks {
		l, err := t.topo.Host.Link(network.Bridge)
		if err != nil {
			return 0, err
		}
		n += l.RxPackets
	}
	return n, nil
}

// tracked is the number of entries in the host's connection tracking table.
func (t *Vethway) tracked() (uint64, error) {
	count, err := t.topo.Host.Sysctl("net.netfilter.nf_conntrack_count")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // the kernel has no connection tracking loaded
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(count), 10, 64)
}
