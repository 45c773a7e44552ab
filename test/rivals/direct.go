// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
)

// Direct joins the remote and each container by a veth pair of their own, so
// each pair of containers on one network, and the host's own processes with
// each container: no bridge, no routing, and no host in between. No way of
// networking containers on this machine can be faster. Everybody keeps the
// addresses of the spec.
type Direct struct{ site }

// NewDirect makes the target; nothing happens before Setup.
func NewDirect() *Direct { return &Direct{} }

// Name is "direct".
func (t *Direct) Name() string { return "direct" }

// Setup makes containers and pairs.
func (t *Direct) Setup(_ context.Context, topo *netlab.Topology, spec Spec) error {
	if n := spec.containers(); n > fewContainers {
		return fmt.Errorf("set up %s: %d containers, each joined with each other: %w", t.Name(), n, ErrUnavailable)
	}
	t.topo, t.spec, t.containers = topo, spec, map[string]*netlab.Namespace{}
	for _, n := range spec.Networks {
		for i, c := range n.Containers {
			if err := t.join(n.Containers[:i], c); err != nil {
				return fmt.Errorf("set up %s: container %s: %w", t.Name(), c.Name, err)
			}
		}
	}
	return nil
}

// join makes a container, and pairs with the remote and its neighbours.
func (t *Direct) join(neighbours []Container, c Container) error {
	ns, err := t.newContainer(c.Name)
	if err != nil {
		return err
	}
	me := end{ns: ns, dev: containerDev, ip4: c.IP4, ip6: c.IP6}
	remote := end{ns: t.topo.Remote, dev: "direct-" + c.Name, ip4: t.topo.Remote4, ip6: t.topo.Remote6}
	host := end{ns: t.topo.Host, dev: "direct-" + c.Name, ip4: t.topo.Host4, ip6: t.topo.Host6}
	fromHost := end{ns: ns, dev: "to-host", ip4: c.IP4, ip6: c.IP6}
	if err := errors.Join(t.pair(me, remote), t.pair(fromHost, host)); err != nil {
		return err
	}
	for _, o := range neighbours {
		mine := end{ns: ns, dev: "to-" + o.Name, ip4: c.IP4, ip6: c.IP6}
		theirs := end{ns: t.containers[o.Name], dev: "to-" + c.Name, ip4: o.IP4, ip6: o.IP6}
		if err := t.pair(mine, theirs); err != nil {
			return err
		}
	}
	return nil
}

// end is one end of a pair.
type end struct {
	ns       *netlab.Namespace
	dev      string
	ip4, ip6 netip.Addr
}

func (t *Direct) pair(a, b end) error {
	if err := a.ns.AddVeth(a.dev, b.ns, b.dev); err != nil {
		return err
	}
	t.onClose(func() error { return a.ns.DeleteLink(a.dev) })
	return errors.Join(a.address(b), b.address(a))
}

// address gives the end its addresses and the routes to the other. The
// addresses go onto every pair, because IPv6 answers neighbour solicitations
// only for addresses of the interface that was asked on.
func (e end) address(other end) error {
	var errs []error
	for _, ip := range [][2]netip.Addr{{e.ip4, other.ip4}, {e.ip6, other.ip6}} {
		mine, theirs := ip[0], ip[1]
		if !mine.IsValid() || !theirs.IsValid() {
			continue
		}
		errs = append(errs,
			e.ns.AddAddr(e.dev, netip.PrefixFrom(mine, mine.BitLen())),
			e.ns.AddRoute(netlab.Route{Dst: netip.PrefixFrom(theirs, theirs.BitLen()), Dev: e.dev, Src: mine}),
		)
	}
	return errors.Join(errs...)
}

// Publish has nothing to do: every port of a container can be reached.
func (t *Direct) Publish(context.Context, string, Port) error { return nil }

// Unpublish cannot be had without a firewall.
func (t *Direct) Unpublish(_ context.Context, container string, p Port) error {
	return fmt.Errorf("unpublish %s of %s: a pair has no way to: %w", p, container, errors.ErrUnsupported)
}

// Reach is the container's own address.
func (t *Direct) Reach(container string, p Port, f Family) (netip.AddrPort, error) {
	return t.containerReach(container, p, f)
}

// Access is by the container's own address. No pair joins containers of
// different networks.
func (t *Direct) Access(from Place, container string, p Port, f Family) (Access, error) {
	if from == FromOther {
		return Access{}, fmt.Errorf("%s %s: %w", from, container, ErrNoAccess)
	}
	a, err := t.containerAccess(from, container, p, f)
	if err == nil && (from == FromHost || from == FromLoopback) {
		a.Peer = t.topo.HostAddr(a.Dial.Addr())
	}
	return a, err
}

// Counters reads the packets on the containers' interfaces, all of which are
// ends of pairs, and those that the host's interfaces saw.
func (t *Direct) Counters(context.Context) (Counters, error) {
	c := Counters{}
	for name, ns := range t.containers {
		if err := t.countLinks(c, "carried", name, ns); err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
	}
	if err := t.countLinks(c, "host", "the host", t.topo.Host); err != nil {
		return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
	}
	return c, nil
}

func (t *Direct) countLinks(c Counters, what, name string, ns *netlab.Namespace) error {
	links, err := ns.Links()
	if err != nil {
		return err
	}
	for _, l := range links {
		switch {
		case l.Name == "lo":
		case l.Kind != "veth":
			return fmt.Errorf("%s has an interface %s", name, l.Name)
		default:
			c[what] += l.RxPackets + l.TxPackets
		}
	}
	return nil
}

// Proof shows that packets went over the pairs.
func (t *Direct) Proof(ctx context.Context) (string, error) { return proof(ctx, t, "carried") }

func (t *Direct) evidence(w Way, _ Family) (evidence, error) {
	e := evidence{moved: []string{"carried"}}
	switch w {
	case Way(FromHost), Way(FromLoopback):
		e.moved = append(e.moved, "host")
	case Way(FromOther), Way(FromSelf):
		return evidence{}, fmt.Errorf("no pair carries what comes from %s", w)
	default:
		e.few, e.many = "host", "carried"
	}
	return e, nil
}
