// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vethway/vethway/test/netlab"
)

// Linear is what Docker Engine 29 does with its nftables backend: maps that
// lead to the chains of a network, and in these a rule for each port.
type Linear struct {
	site
	held held
	// published are the spec's ports and those that came later, in Docker's order: that of publishing.
	published []publication
}

// publication is one published port.
type publication struct {
	network   Network
	container Container
	port      Port
}

// NewLinear makes the target; nothing happens before Setup.
func NewLinear(proxy UserlandProxy) *Linear { return &Linear{held: newHeld(proxy)} }

// Name is nftables-linear, with -proxy when that is on.
func (t *Linear) Name() string {
	if t.held.proxy.On {
		return "nftables-linear-proxy"
	}
	return "nftables-linear"
}

// Setup makes networks, containers and rules.
func (t *Linear) Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setUp(ctx, topo, spec); err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *Linear) setUp(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setup(topo, spec); err != nil {
		return err
	}
	if err := errors.Join(t.forward(), t.bridgeNetfilter("1")); err != nil {
		return err
	}
	if !t.held.proxy.On {
		if err := t.allowHairpin(); err != nil {
			return err
		}
	}
	for _, n := range spec.Networks {
		for _, c := range n.Containers {
			for _, p := range c.Publish {
				t.published = append(t.published, publication{n, c, p})
			}
		}
	}
	t.onClose(func() error {
		return t.nft(context.WithoutCancel(ctx), "delete table ip docker-bridges\ndelete table ip6 docker-bridges\n")
	})
	if err := t.nft(ctx, t.ruleset(IPv4)+t.ruleset(IPv6)); err != nil {
		return err
	}
	return t.held.holdAll(ctx, topo.Host, spec)
}

// Publish adds the rules of one port, and its proxy.
func (t *Linear) Publish(ctx context.Context, container string, p Port) error {
	n, c, err := t.spec.Container(container)
	if err == nil {
		err = t.held.hold(ctx, t.topo.Host, c, p)
	}
	if err == nil {
		t.published = append(t.published, publication{n, c, p})
		err = t.rewrite(ctx, n, p)
	}
	if err != nil {
		return fmt.Errorf("publish %s of %s: %w", p, container, err)
	}
	return nil
}

// Unpublish deletes them.
func (t *Linear) Unpublish(ctx context.Context, container string, p Port) error {
	n, _, err := t.spec.Container(container)
	if err == nil {
		t.held.release(p)
		t.published = slices.DeleteFunc(t.published, func(x publication) bool { return x.container.Name == container && x.port == p })
		err = t.rewrite(ctx, n, p)
	}
	if err != nil {
		return fmt.Errorf("unpublish %s of %s: %w", p, container, err)
	}
	return nil
}

// rewrite is Docker's way of changing a chain: it is flushed, and all of its
// rules are added again, in one transaction. It does so for each port, and for
// the chains that the port is in.
func (t *Linear) rewrite(ctx context.Context, n Network, p Port) error {
	var b strings.Builder
	for _, f := range []Family{IPv4, IPv6} {
		if !n.subnet(f).IsValid() || !p.in(f) {
			continue
		}
		table := nftKeyword(f) + " docker-bridges"
		chain := func(name string, write func()) {
			fmt.Fprintf(&b, "flush chain %s %s\ntable %s {\n", table, name, table)
			write()
			b.WriteString("}\n")
		}
		chain("nat-prerouting-and-output", func() { t.writeDNAT(&b, f) })
		chain("filter-forward-in__"+bridgeName(n), func() { t.writeForwardIn(&b, n, f) })
		if !t.held.proxy.On {
			chain("nat-postrouting-in__"+bridgeName(n), func() { t.writePostroutingIn(&b, n, f) })
		}
		if p.HostIP.IsLoopback() {
			chain("raw-PREROUTING", func() { t.writeRaw(&b, f) })
		}
	}
	return t.nft(ctx, b.String())
}

func (t *Linear) nft(ctx context.Context, script string) error {
	_, err := t.topo.Host.RunInput(ctx, script, "nft", "-f", "-")
	return err
}

// Reach is the host's address.
func (t *Linear) Reach(_ string, p Port, f Family) (netip.AddrPort, error) {
	return t.hostReach(p, f)
}

// Access is by the host's addresses, for part of the places through the proxy.
func (t *Linear) Access(from Place, container string, p Port, f Family) (Access, error) {
	return t.dockerAccess(from, container, p, f, t.held.proxy)
}

// Helpers are the processes of the userland proxy.
func (t *Linear) Helpers() []int { return t.held.processes() }

// Close removes rules, containers and bridges.
func (t *Linear) Close() error {
	t.held.releaseAll()
	return t.site.Close()
}
