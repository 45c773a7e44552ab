// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/test/netlab"
)

// nftTable is the table that holds everything.
const nftTable = "inet rival"

// Nftables does what Docker does without the userland proxy, with one map
// lookup in place of a rule per port: the best that netfilter has to offer,
// flow tables aside.
type Nftables struct {
	site
	held held
}

// NftablesConfig says what there is beside the rules.
type NftablesConfig struct {
	// RulesOnly leaves the sockets away that hold ports: see UserlandProxy.
	RulesOnly bool
}

// NewNftables makes the target; nothing happens before Setup.
func NewNftables(cfg NftablesConfig) *Nftables {
	return &Nftables{held: newHeld(UserlandProxy{RulesOnly: cfg.RulesOnly})}
}

// Name is "nftables".
func (t *Nftables) Name() string { return "nftables" }

// Setup makes networks, containers and rules.
func (t *Nftables) Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setUp(ctx, topo, spec); err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *Nftables) setUp(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setup(topo, spec); err != nil {
		return err
	}
	// A container that reaches its neighbour by a published port gets the
	// answer through the bridge, where it has to be translated back.
	if err := errors.Join(t.forward(), t.bridgeNetfilter("1")); err != nil {
		return err
	}
	if err := t.allowHairpin(); err != nil {
		return err
	}
	if err := t.held.holdAll(ctx, topo.Host, spec); err != nil {
		return err
	}
	t.onClose(func() error { return t.nft(context.WithoutCancel(ctx), "delete table "+nftTable+"\n") })
	return t.nft(ctx, t.ruleset())
}

func (t *Nftables) nft(ctx context.Context, script string) error {
	_, err := t.topo.Host.RunInput(ctx, script, "nft", "-f", "-")
	return err
}

// ruleset is the whole table. Translation is decided once for each flow, so
// its counters cost nothing.
func (t *Nftables) ruleset() string {
	var b strings.Builder
	fmt.Fprintf(&b, "add table %s\ntable %s {\n", nftTable, nftTable)
	for _, f := range []Family{IPv4, IPv6} {
		addr := f.String() + "_addr"
		fmt.Fprintf(&b, "map any%d { type inet_proto . inet_service : %s . inet_service; }\n", f, addr)
		fmt.Fprintf(&b, "map one%d { type %s . inet_proto . inet_service : %s . inet_service; }\n", f, addr, addr)
		fmt.Fprintf(&b, "set self%d { type %s . %s; }\n", f, addr, addr)
	}
	b.WriteString("set bridges { type ifname; }\nmap between { type ifname . ifname : verdict; }\n")
	for chain, hook := range map[string]string{"prerouting": "prerouting priority dstnat", "output": "output priority -100"} {
		fmt.Fprintf(&b, "chain %s {\ntype nat hook %s; policy accept;\n", chain, hook)
		for _, f := range []Family{IPv4, IPv6} {
			ip := nftKeyword(f)
			fmt.Fprintf(&b, "meta nfproto %s fib daddr type local counter dnat %s to %s daddr . meta l4proto . th dport map @one%d comment \"%s %s\"\n", f, ip, ip, f, f, chain)
			fmt.Fprintf(&b, "meta nfproto %s fib daddr type local counter dnat %s to meta l4proto . th dport map @any%d comment \"%s %s\"\n", f, ip, f, f, chain)
		}
		b.WriteString("}\n")
	}
	b.WriteString("chain forward {\ntype filter hook forward priority filter; policy accept;\n" +
		"ct state established,related accept\nct status dnat counter accept comment \"dnat\"\n" +
		"counter iifname . oifname vmap @between comment \"between\"\noifname @bridges counter drop\n}\n")
	b.WriteString("chain postrouting {\ntype nat hook postrouting priority srcnat; policy accept;\n" +
		"oifname @bridges fib saddr type local counter masquerade comment \"masquerade\"\n")
	for _, f := range []Family{IPv4, IPv6} {
		ip := nftKeyword(f)
		fmt.Fprintf(&b, "ct status dnat %s saddr . %s daddr @self%d counter masquerade comment \"masquerade\"\n", ip, ip, f)
		for _, n := range t.networks(f) {
			fmt.Fprintf(&b, "%s saddr %s oifname != %q counter masquerade comment \"masquerade\"\n", ip, n.subnet(f), bridgeName(n))
		}
	}
	b.WriteString("}\n}\n")
	for _, n := range t.spec.Networks {
		br := bridgeName(n)
		fmt.Fprintf(&b, "add element %s bridges { %q }\nadd element %s between { %q . %q : accept }\n", nftTable, br, nftTable, br, br)
	}
	for _, f := range []Family{IPv4, IPv6} {
		t.eachContainer(f, func(_ Network, c Container) {
			fmt.Fprintf(&b, "add element %s self%d { %s . %s }\n", nftTable, f, c.addr(f), c.addr(f))
		})
		t.eachPort(f, func(_ Network, c Container, p Port) { b.WriteString(nftElement("add", c, p, f)) })
	}
	return b.String()
}

// nftElement adds or deletes one port.
func nftElement(verb string, c Container, p Port, f Family) string {
	kind, key := "any", fmt.Sprintf("%s . %d", p.Proto, p.HostPort)
	if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
		kind, key = "one", p.HostIP.String()+" . "+key
	}
	value := fmt.Sprintf(" : %s . %d", c.addr(f), p.ContainerPort)
	if verb == "delete" {
		value = ""
	}
	return fmt.Sprintf("%s element %s %s%d { %s%s }\n", verb, nftTable, kind, f, key, value)
}

// nftKeyword is the family's name in expressions.
func nftKeyword(f Family) string {
	if f == IPv6 {
		return "ip6"
	}
	return "ip"
}

// Publish adds one port to the maps.
func (t *Nftables) Publish(ctx context.Context, container string, p Port) error {
	if err := t.change(ctx, "add", container, p); err != nil {
		return fmt.Errorf("publish %s of %s: %w", p, container, err)
	}
	return nil
}

// Unpublish takes it out again.
func (t *Nftables) Unpublish(ctx context.Context, container string, p Port) error {
	if err := t.change(ctx, "delete", container, p); err != nil {
		return fmt.Errorf("unpublish %s of %s: %w", p, container, err)
	}
	return nil
}

func (t *Nftables) change(ctx context.Context, verb, container string, p Port) error {
	_, c, err := t.spec.Container(container)
	if err != nil {
		return err
	}
	if verb == "add" {
		if err := t.held.hold(ctx, t.topo.Host, c, p); err != nil {
			return err
		}
	} else {
		t.held.release(p)
	}
	var b strings.Builder
	for _, f := range []Family{IPv4, IPv6} {
		if p.in(f) && c.addr(f).IsValid() {
			b.WriteString(nftElement(verb, c, p, f))
		}
	}
	return t.nft(ctx, b.String())
}

// Reach is the host's address.
func (t *Nftables) Reach(_ string, p Port, f Family) (netip.AddrPort, error) {
	return t.hostReach(p, f)
}

// Access is by the host's addresses.
func (t *Nftables) Access(from Place, container string, p Port, f Family) (Access, error) {
	return t.dockerAccess(from, container, p, f, t.held.proxy)
}

// Close removes rules, containers and bridges.
func (t *Nftables) Close() error {
	t.held.releaseAll()
	return t.site.Close()
}
