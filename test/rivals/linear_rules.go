// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"fmt"
	"net/netip"
	"strings"
)

// Tables, chains and rules are those that Docker Engine 29 leaves behind with
// "firewall-backend": "nftables", for networks in gateway mode nat with ICC and
// masquerade. A packet's way:
//
//	raw-PREROUTING    dropped if it came directly to a container's address
//	nat-PREROUTING    nat-prerouting-and-output: DNAT, a rule for each port
//	filter-FORWARD    by the bridge that it leaves by, filter-forward-in__BR:
//	                  established, ICC, a rule for each port, drop; then by the
//	                  bridge that it came from, filter-forward-out__BR
//	nat-POSTROUTING   nat-postrouting-out__BR: masquerade;
//	                  nat-postrouting-in__BR: hairpin, without the userland proxy

// ruleset is the whole table of one family.
func (t *Linear) ruleset(f Family) string {
	var b strings.Builder
	ip := nftKeyword(f)
	fmt.Fprintf(&b, "table %s docker-bridges {\n", ip)
	networks := t.networks(f)
	writeJumps(&b, networks, "filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out")
	for _, n := range networks {
		t.writeForwardIn(&b, n, f)
		fmt.Fprintf(&b, "chain filter-forward-out__%s {\n", bridgeName(n))
		b.WriteString("ct state established,related counter accept\ncounter accept comment \"OUTGOING\"\n}\n")
		t.writePostroutingIn(&b, n, f)
		fmt.Fprintf(&b, "chain nat-postrouting-out__%s {\n", bridgeName(n))
		fmt.Fprintf(&b, "oifname != %q %s saddr %s counter masquerade comment \"MASQUERADE\"\n}\n", bridgeName(n), ip, n.subnet(f))
	}
	t.writeDNAT(&b, f)
	notByProxy := ""
	if t.held.proxy.On {
		notByProxy = map[Family]string{IPv4: "ip daddr != 127.0.0.0/8 ", IPv6: "ip6 daddr != ::1 "}[f]
	}
	const local = "fib daddr type local counter jump nat-prerouting-and-output"
	fmt.Fprintf(&b, "chain nat-PREROUTING {\ntype nat hook prerouting priority -100; policy accept;\n%s\n}\n", local)
	fmt.Fprintf(&b, "chain nat-OUTPUT {\ntype nat hook output priority -100; policy accept;\n%s%s\n}\n", notByProxy, local)
	b.WriteString("chain filter-FORWARD {\ntype filter hook forward priority 0; policy accept;\n" +
		"oifname vmap @filter-forward-in-jumps\niifname vmap @filter-forward-out-jumps\n}\n")
	b.WriteString("chain nat-POSTROUTING {\ntype nat hook postrouting priority 100; policy accept;\n" +
		"iifname vmap @nat-postrouting-out-jumps\noifname vmap @nat-postrouting-in-jumps\n}\n")
	b.WriteString("chain raw-PREROUTING { type filter hook prerouting priority -300; policy accept; }\n")
	t.writeRaw(&b, f)
	b.WriteString("}\n")
	return b.String()
}

// writeJumps makes the maps from a bridge to its chains, NAME-jumps to NAME__BRIDGE.
func writeJumps(b *strings.Builder, networks []Network, names ...string) {
	for _, name := range names {
		var jumps []string
		for _, n := range networks {
			// nft reads a file from top to bottom: the chain first.
			fmt.Fprintf(b, "chain %s__%s { }\n", name, bridgeName(n))
			jumps = append(jumps, fmt.Sprintf("%q : jump %s__%s", bridgeName(n), name, bridgeName(n)))
		}
		fmt.Fprintf(b, "map %s-jumps {\ntype ifname : verdict\n", name)
		if len(jumps) > 0 {
			fmt.Fprintf(b, "elements = { %s }\n", strings.Join(jumps, ", "))
		}
		b.WriteString("}\n")
	}
}

func (t *Linear) writeRaw(b *strings.Builder, f Family) {
	b.WriteString("chain raw-PREROUTING {\n")
	t.eachContainer(f, func(n Network, c Container) {
		fmt.Fprintf(b, "%s daddr %s iifname != %q counter drop comment \"DROP DIRECT ACCESS\"\n", nftKeyword(f), c.addr(f), bridgeName(n))
	})
	t.eachPublished(f, func(x publication) {
		if f == IPv4 && x.port.HostIP.IsLoopback() {
			fmt.Fprintf(b, "iifname != \"lo\" ip daddr %s %s dport %d counter drop comment \"DROP REMOTE LOOPBACK\"\n",
				x.port.HostIP, x.port.Proto, x.port.HostPort)
		}
	})
	b.WriteString("}\n")
}

func (t *Linear) writeDNAT(b *strings.Builder, f Family) {
	b.WriteString("chain nat-prerouting-and-output {\n")
	t.eachPublished(f, func(x publication) {
		var match strings.Builder
		if t.held.proxy.On {
			fmt.Fprintf(&match, "iifname != %q ", bridgeName(x.network))
		}
		if f == IPv6 {
			match.WriteString("ip6 saddr != fe80::/10 ")
		}
		if x.port.HostIP.IsValid() && !x.port.HostIP.IsUnspecified() {
			fmt.Fprintf(&match, "%s daddr %s ", nftKeyword(f), x.port.HostIP)
		}
		to := netip.AddrPortFrom(x.container.addr(f), x.port.ContainerPort)
		fmt.Fprintf(b, "%s%s dport %d counter dnat to %s comment \"DNAT\"\n", match.String(), x.port.Proto, x.port.HostPort, to)
	})
	b.WriteString("}\n")
}

func (t *Linear) writeForwardIn(b *strings.Builder, n Network, f Family) {
	fmt.Fprintf(b, "chain filter-forward-in__%s {\n", bridgeName(n))
	fmt.Fprintf(b, "ct state established,related counter accept\niifname %q counter accept comment \"ICC\"\n", bridgeName(n))
	seen := map[string]bool{}
	t.eachPublished(f, func(x publication) {
		rule := fmt.Sprintf("%s daddr %s %s dport %d counter accept\n", nftKeyword(f), x.container.addr(f), x.port.Proto, x.port.ContainerPort)
		// One rule for a container's port, however many of the host's lead there.
		if x.network.Name == n.Name && !seen[rule] {
			seen[rule] = true
			b.WriteString(rule)
		}
	})
	b.WriteString("counter drop comment \"UNPUBLISHED PORT DROP\"\n}\n")
}

func (t *Linear) writePostroutingIn(b *strings.Builder, n Network, f Family) {
	fmt.Fprintf(b, "chain nat-postrouting-in__%s {\n", bridgeName(n))
	if !t.held.proxy.On {
		b.WriteString("fib saddr type local counter masquerade comment \"MASQUERADE FROM HOST\"\n")
		t.eachPublished(f, func(x publication) {
			if x.network.Name == n.Name {
				a, ip := x.container.addr(f), nftKeyword(f)
				fmt.Fprintf(b, "%s saddr %s %s daddr %s %s dport %d counter masquerade comment \"MASQ TO OWN PORT\"\n",
					ip, a, ip, a, x.port.Proto, x.port.ContainerPort)
			}
		})
	}
	b.WriteString("}\n")
}

// eachPublished lists ports in the order of publishing, as far as they have
// the family.
func (t *Linear) eachPublished(f Family, do func(publication)) {
	for _, x := range t.published {
		if x.port.in(f) && x.container.addr(f).IsValid() && x.network.subnet(f).IsValid() {
			do(x)
		}
	}
}
