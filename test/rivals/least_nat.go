// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals/leastnat"
	"github.com/vethway/vethway/test/rivals/redirect"
)

// LeastNAT is Redirect with the least that a NAT does which keeps state: ports
// are reached at the host's address, and what goes out has the host's. What it
// does is said in package leastnat. Containers reach each other as by Redirect.
//
// It is a limit, not a network: there is no way to a published port but from
// the remote, and flows are forgotten when somebody calls Forget.
type LeastNAT struct {
	Redirect
	nat *leastnat.NAT
}

// NewLeastNAT makes the target; nothing happens before Setup.
func NewLeastNAT() *LeastNAT { return &LeastNAT{} }

// Name is "least-nat".
func (t *LeastNAT) Name() string { return "least-nat" }

// Setup makes bridges and containers as Redirect does, and the programs.
func (t *LeastNAT) Setup(_ context.Context, topo *netlab.Topology, spec Spec) error {
	if n := spec.containers(); n > fewContainers {
		return fmt.Errorf("set up %s: %d containers, each compared with: %w", t.Name(), n, ErrUnavailable)
	}
	err := t.setUp(topo, spec)
	if err == nil {
		t.nat, err = leastnat.New()
	}
	if err == nil {
		t.onClose(t.nat.Close)
		err = t.attach()
	}
	if err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *LeastNAT) attach() error {
	out, uplink, err := t.out()
	if err != nil {
		return err
	}
	for _, n := range t.spec.Networks {
		for _, c := range n.Containers {
			if err := t.attachContainer(out, c); err != nil {
				return err
			}
		}
	}
	published, err := t.published()
	if err != nil {
		return err
	}
	return t.topo.Host.Do(func() error { return t.nat.Attach(uplink, leastnat.Rules{Published: published}) })
}

func (t *LeastNAT) attachContainer(out []redirect.Route, c Container) error {
	l, err := t.topo.Host.Link(vethName(c.Name))
	if err != nil {
		return err
	}
	rules := leastnat.Rules{Out: &out[0]}
	if rules.Neighbors, err = t.inward(c.Name); err != nil {
		return err
	}
	for _, f := range []Family{IPv4, IPv6} {
		if own := c.addr(f); own.IsValid() {
			rules.Masquerade = append(rules.Masquerade, leastnat.Masqueraded{
				To: t.topo.RemoteAddr(own), As: t.topo.HostAddr(own), Veth: l.Index,
			})
		}
	}
	return t.topo.Host.Do(func() error { return t.nat.Attach(l.Index, rules) })
}

// published is the ports of the spec, at the host's own address of each family.
// Of many it is those of the container that is measured: which of them a packet
// is for, a NAT would have to look up, where this one compares.
func (t *LeastNAT) published() ([]leastnat.Published, error) {
	measured := CommonSpec().Networks[0].Containers[0].Name
	var list []leastnat.Published
	for _, n := range t.spec.Networks {
		for _, c := range n.Containers {
			if t.spec.ports() > fewPorts && c.Name != measured {
				continue
			}
			l, err := t.topo.Host.Link(vethName(c.Name))
			if err != nil {
				return nil, err
			}
			for _, p := range c.Publish {
				for _, f := range []Family{IPv4, IPv6} {
					if !c.addr(f).IsValid() || !p.in(f) {
						continue
					}
					at, err := t.hostReach(p, f)
					if err != nil {
						return nil, err
					}
					to, err := t.containerReach(c.Name, p, f)
					if err != nil {
						return nil, err
					}
					list = append(list, leastnat.Published{Proto: protocols[p.Proto], Host: at, Target: to, Veth: l.Index})
				}
			}
		}
	}
	return list, nil
}

// fewPorts is how many are compared with, one after the other.
const fewPorts = 8

// protocols are the numbers of those that can be published.
var protocols = map[string]uint8{"tcp": 6, "udp": 17}

// Publish and Unpublish cannot be had: ports are part of the programs.
func (t *LeastNAT) Publish(_ context.Context, container string, p Port) error {
	return fmt.Errorf("publish %s of %s: it is written into no program: %w", p, container, errors.ErrUnsupported)
}

// Reach is the host's address.
func (t *LeastNAT) Reach(_ string, p Port, f Family) (netip.AddrPort, error) {
	return t.hostReach(p, f)
}

// Access is from the remote alone.
func (t *LeastNAT) Access(from Place, container string, p Port, f Family) (Access, error) {
	if from != FromRemote {
		return Access{}, fmt.Errorf("%s %s by the least there is: %w", from, container, ErrNoAccess)
	}
	return t.hostAccess(from, container, p, f)
}

// Forget takes all flows away: nothing else ever does.
func (t *LeastNAT) Forget() error { return t.nat.Forget() }

// Flows is how many are kept.
func (t *LeastNAT) Flows() (int, error) { return t.nat.Flows() }

// Counters are Redirect's, and how many flows there are.
func (t *LeastNAT) Counters(ctx context.Context) (Counters, error) {
	c, err := t.Redirect.Counters(ctx)
	if err != nil {
		return nil, err
	}
	flows, err := t.nat.Flows()
	c["flows"] = uint64(flows)
	return c, err
}

// Proof shows that containers have sent and received.
func (t *LeastNAT) Proof(ctx context.Context) (string, error) {
	shown, err := proof(ctx, t, "carried")
	if err != nil {
		return "", err
	}
	return shown, t.untracked()
}

// evidence is Redirect's, and that there are flows where something is
// translated. That it is, server and client know: by whom they see.
func (t *LeastNAT) evidence(w Way, f Family) (evidence, error) {
	e, err := t.Redirect.evidence(w, f)
	switch {
	case err != nil || w == Inside:
	case w == Way(FromRemote) || w == Outward:
		e.some = append(e.some, "flows")
	default:
		return evidence{}, fmt.Errorf("no programs of the least carry what comes from %s: %w", w, errors.ErrUnsupported)
	}
	return e, err
}
