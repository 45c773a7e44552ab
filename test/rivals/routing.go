// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vethway/vethway/test/netlab"
)

// Routing is what the kernel does without any firewall: bridges, ip_forward,
// and a route to the containers' subnets on the remote. Nothing is translated
// and nothing is tracked.
type Routing struct{ site }

// NewRouting makes the target; nothing happens before Setup.
func NewRouting() *Routing { return &Routing{} }

// Name is "routing".
func (t *Routing) Name() string { return "routing" }

// Setup makes networks, containers and routes.
func (t *Routing) Setup(_ context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setUp(topo, spec); err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *Routing) setUp(topo *netlab.Topology, spec Spec) error {
	if err := t.setup(topo, spec); err != nil {
		return err
	}
	if err := errors.Join(t.forward(), t.bridgeNetfilter("0")); err != nil {
		return err
	}
	for _, n := range spec.Networks {
		for _, p := range []netip.Prefix{n.Subnet4, n.Subnet6} {
			if !p.IsValid() {
				continue
			}
			if err := topo.RouteToContainers(p); err != nil {
				return err
			}
			t.onClose(func() error { return topo.Remote.DelRoute(netlab.Route{Dst: p, Via: topo.HostAddr(p.Addr())}) })
		}
	}
	return nil
}

// Publish has nothing to do: every port of a container can be reached.
func (t *Routing) Publish(context.Context, string, Port) error { return nil }

// Unpublish cannot be had without a firewall.
func (t *Routing) Unpublish(_ context.Context, container string, p Port) error {
	return fmt.Errorf("unpublish %s of %s: plain routing has no way to: %w", p, container, errors.ErrUnsupported)
}

// Reach is the container's own address.
func (t *Routing) Reach(container string, p Port, f Family) (netip.AddrPort, error) {
	return t.containerReach(container, p, f)
}

// Access is by the container's own address.
func (t *Routing) Access(from Place, container string, p Port, f Family) (Access, error) {
	return t.containerAccess(from, container, p, f)
}

// Counters reads how many packets the host routed on, and how many it sent to
// containers.
func (t *Routing) Counters(context.Context) (Counters, error) {
	c := Counters{}
	if err := t.routed(c); err != nil {
		return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
	}
	for name := range t.containers {
		l, err := t.topo.Host.Link(vethName(name))
		if err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
		c["delivered"] += l.TxPackets
	}
	return c, nil
}

// Proof shows that packets went to containers, and that none was tracked.
func (t *Routing) Proof(ctx context.Context) (string, error) {
	shown, err := proof(ctx, t, "delivered")
	if err != nil {
		return "", err
	}
	return shown, t.untracked()
}

func (t *Routing) evidence(w Way, f Family) (evidence, error) {
	e := evidence{moved: []string{"delivered"}, none: []string{"tracked"}}
	switch w {
	case Way(FromRemote), Way(FromOther):
		e.moved = append(e.moved, by(f, "forwarded"))
	case Outward: // whether anything comes back is another matter
		e.moved = []string{by(f, "forwarded")}
	case Way(FromHost), Way(FromLoopback), Way(FromNeighbour), Inside:
		e.still = []string{by(f, "forwarded")}
	default:
		return evidence{}, fmt.Errorf("unknown way %q", w)
	}
	return e, nil
}

// routed adds how many packets of each family the host routed on, and how many
// flows it tracks.
func (s *site) routed(c Counters) (err error) {
	if c["tracked"], err = conntrackCount(s.topo.Host); err != nil {
		return err
	}
	if c[by(IPv4, "forwarded")], err = forwardedPackets(s.topo.Host, IPv4); err != nil {
		return err
	}
	c[by(IPv6, "forwarded")], err = forwardedPackets(s.topo.Host, IPv6)
	return err
}

// untracked fails when netfilter tracks a flow.
func (s *site) untracked() error {
	tracked, err := conntrackCount(s.topo.Host)
	if err == nil && tracked != 0 {
		err = fmt.Errorf("%d flows are tracked", tracked)
	}
	return err
}

// conntrackCount is the number of flows that netfilter tracks.
func conntrackCount(ns *netlab.Namespace) (uint64, error) {
	v, err := ns.Sysctl("net.netfilter.nf_conntrack_count")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(v, 10, 64)
}

// forwardedPackets is how many packets of a family were routed on.
func forwardedPackets(ns *netlab.Namespace, f Family) (uint64, error) {
	if f == IPv4 {
		snmp, err := ns.ProcNet("snmp")
		if err != nil {
			return 0, err
		}
		return snmpValue(snmp, "Ip:", "ForwDatagrams")
	}
	snmp6, err := ns.ProcNet("snmp6")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(snmp6) {
		if w := strings.Fields(line); len(w) == 2 && w[0] == "Ip6OutForwDatagrams" {
			return strconv.ParseUint(w[1], 10, 64)
		}
	}
	return 0, errors.New("no value Ip6OutForwDatagrams in snmp6")
}

// snmpValue reads a value of /proc/net/snmp, where one line has the names and
// the next one the values.
func snmpValue(snmp, prefix, name string) (uint64, error) {
	var names []string
	for line := range strings.Lines(snmp) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != prefix {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i := range min(len(names), len(f)) {
			if names[i] == name {
				return strconv.ParseUint(f[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("no value %s in the line %s", name, prefix)
}
