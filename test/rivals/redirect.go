// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals/redirect"
)

// Redirect is Routing whose packets never get to the host's stack: at the tc
// ingress of the uplink and of each container's veth the smallest programs
// there can be redirect them, by addresses, interfaces and MAC addresses that
// are written into them. It is what this kernel gives to any eBPF programs
// between veths; Direct saves a walk through the stack besides.
//
// What the host's own processes send is redirected at the tc egress of a
// network's bridge, where it comes to the programs first: from its stack straight
// to the container's veth. What they hear takes the bridge, as in Routing:
// handing it to the bridge's own interface was tried, and is no faster.
type Redirect struct {
	Routing
	programs []io.Closer
}

// NewRedirect makes the target; nothing happens before Setup.
func NewRedirect() *Redirect { return &Redirect{} }

// Name is "redirect".
func (t *Redirect) Name() string { return "redirect" }

// Setup makes what Routing has, and the programs.
func (t *Redirect) Setup(_ context.Context, topo *netlab.Topology, spec Spec) error {
	if n := spec.containers(); n > fewContainers {
		return fmt.Errorf("set up %s: %d containers, each compared with: %w", t.Name(), n, ErrUnavailable)
	}
	err := t.setUp(topo, spec)
	if err == nil {
		err = t.attach()
	}
	if err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

// attach puts a program onto the uplink, and one onto each container's veth
// for what goes out and to its neighbours.
func (t *Redirect) attach() error {
	out, uplink, err := t.out()
	if err != nil {
		return err
	}
	inward, err := t.inward("")
	if err != nil {
		return err
	}
	if err := t.redirect(uplink, inward); err != nil {
		return err
	}
	for _, n := range t.spec.Networks {
		if err := t.attachBridge(n); err != nil {
			return err
		}
	}
	for name := range t.containers {
		l, err := t.topo.Host.Link(vethName(name))
		if err != nil {
			return err
		}
		others, err := t.inward(name)
		if err != nil {
			return err
		}
		if err := t.redirect(l.Index, append(out, others...)); err != nil {
			return err
		}
	}
	return nil
}

// out is the routes to the remote, and the index of the interface to it.
func (t *Redirect) out() ([]redirect.Route, int, error) {
	u := t.topo.Uplinks[0]
	here, err := t.topo.Host.Link(u.Dev)
	if err != nil {
		return nil, 0, err
	}
	there, err := u.Remote.Link(u.RemoteDev)
	if err != nil {
		return nil, 0, err
	}
	var routes []redirect.Route
	for _, to := range []netip.Addr{t.topo.Remote4, t.topo.Remote6} {
		routes = append(routes, redirect.Route{To: to, Device: here.Index, Source: here.MAC, Neighbor: there.MAC})
	}
	return routes[:len(routes):len(routes)], here.Index, nil
}

// inward is the routes to all containers but one.
func (t *Redirect) inward(but string) ([]redirect.Route, error) {
	var routes []redirect.Route
	for _, n := range t.spec.Networks {
		for _, c := range n.Containers {
			if c.Name == but {
				continue
			}
			l, err := t.topo.Host.Link(vethName(c.Name))
			if err != nil {
				return nil, err
			}
			for _, to := range []netip.Addr{c.IP4, c.IP6} {
				if to.IsValid() {
					routes = append(routes, redirect.Route{To: to, Veth: l.Index})
				}
			}
		}
	}
	return routes, nil
}

// attachBridge puts a program onto a network's bridge.
func (t *Redirect) attachBridge(n Network) error {
	bridge, err := t.topo.Host.Link(bridgeName(n))
	if err != nil {
		return err
	}
	var routes []redirect.Route
	for _, c := range n.Containers {
		l, err := t.topo.Host.Link(vethName(c.Name))
		if err != nil {
			return err
		}
		for _, to := range []netip.Addr{c.IP4, c.IP6} {
			if to.IsValid() {
				routes = append(routes, redirect.Route{To: to, Device: l.Index})
			}
		}
	}
	return t.topo.Host.Do(func() error {
		program, err := redirect.AttachEgress(bridge.Index, routes)
		if err != nil {
			return err
		}
		t.programs = append(t.programs, program)
		t.onClose(program.Close)
		return nil
	})
}

func (t *Redirect) redirect(device int, routes []redirect.Route) error {
	return t.topo.Host.Do(func() error {
		program, err := redirect.Attach(device, routes)
		if err != nil {
			return err
		}
		t.programs = append(t.programs, program)
		t.onClose(program.Close)
		return nil
	})
}

// Counters are Routing's, the packets at the containers' interfaces, and those
// that the host gave its bridges to send.
func (t *Redirect) Counters(ctx context.Context) (Counters, error) {
	c, err := t.Routing.Counters(ctx)
	if err != nil {
		return nil, err
	}
	for _, ns := range t.containers {
		l, err := ns.Link(containerDev)
		if err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
		c["carried"] += l.RxPackets + l.TxPackets
	}
	for _, n := range t.spec.Networks {
		l, err := t.topo.Host.Link(bridgeName(n))
		if err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
		}
		c["bridged"] += l.TxPackets
	}
	return c, nil
}

// Proof shows that containers have sent and received.
func (t *Redirect) Proof(ctx context.Context) (string, error) {
	shown, err := proof(ctx, t, "carried")
	if err != nil {
		return "", err
	}
	return shown, t.untracked()
}

// evidence: the host has routed nothing, and has sent next to nothing through
// its ends of the containers' veths, which redirected packets jump. What it sent
// itself went there, past the bridge.
func (t *Redirect) evidence(w Way, f Family) (evidence, error) {
	switch w {
	case Way(FromHost), Way(FromLoopback):
		return evidence{
			moved: []string{"carried", "delivered"}, still: []string{by(f, "forwarded")}, none: []string{"tracked"}, few: "bridged", many: "carried",
		}, nil
	case Way(FromRemote), Way(FromNeighbour), Way(FromOther), Outward, Inside:
		return evidence{
			moved: []string{"carried"}, still: []string{by(f, "forwarded")}, none: []string{"tracked"}, few: "delivered", many: "carried",
		}, nil
	}
	return evidence{}, fmt.Errorf("no redirect carries what comes from %s: %w", w, errors.ErrUnsupported)
}
