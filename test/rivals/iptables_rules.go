// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The rules are those that Docker Engine 29 leaves behind for networks in the
// default gateway mode nat, with ICC and masquerade, as iptables-save would
// show them, in Docker's order. A forwarded packet's way:
//
//	raw PREROUTING   dropped if it came directly to a container's address
//	nat PREROUTING   DOCKER: DNAT, if it was for a local address
//	filter FORWARD   DOCKER-USER, DOCKER-FORWARD: DOCKER-CT (established),
//	                 DOCKER-INTERNAL, DOCKER-BRIDGE -> DOCKER (published ports,
//	                 and nothing else from outside), then whatever leaves a bridge
//	nat POSTROUTING  MASQUERADE

// rules is the complete set of one family, ports of the spec included.
func (t *Iptables) rules(f Family) string {
	var b strings.Builder
	t.writeRaw(&b, f)
	t.writeFilter(&b, f)
	t.writeNAT(&b, f)
	return b.String()
}

func (t *Iptables) writeRaw(b *strings.Builder, f Family) {
	b.WriteString("*raw\n")
	t.eachContainer(f, func(n Network, c Container) {
		fmt.Fprintf(b, "-A PREROUTING -d %s ! -i %s -j DROP\n", c.addr(f), bridgeName(n))
	})
	t.eachPort(f, func(_ Network, _ Container, p Port) {
		if rule := loopbackRule(p, f); rule != "" {
			fmt.Fprintf(b, "-A %s\n", rule)
		}
	})
	b.WriteString("COMMIT\n")
}

func (t *Iptables) writeFilter(b *strings.Builder, f Family) {
	b.WriteString("*filter\n:FORWARD DROP\n")
	for _, chain := range []string{"DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-FORWARD", "DOCKER-INTERNAL", "DOCKER-USER"} {
		fmt.Fprintf(b, ":%s -\n", chain)
	}
	b.WriteString("-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-FORWARD\n")
	b.WriteString("-A DOCKER-FORWARD -j DOCKER-CT\n-A DOCKER-FORWARD -j DOCKER-INTERNAL\n-A DOCKER-FORWARD -j DOCKER-BRIDGE\n")
	// Docker inserts ports at the head of the chain, so the last comes first.
	var ports []string
	t.eachPort(f, func(n Network, c Container, p Port) { ports = append(ports, acceptRule(n, c, p, f)) })
	slices.Reverse(ports)
	for _, rule := range ports {
		fmt.Fprintf(b, "-A %s\n", rule)
	}
	for _, n := range t.networks(f) {
		br := bridgeName(n)
		fmt.Fprintf(b, "-A DOCKER ! -i %s -o %s -j DROP\n", br, br)
		fmt.Fprintf(b, "-A DOCKER-CT -o %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", br)
		fmt.Fprintf(b, "-A DOCKER-BRIDGE -o %s -j DOCKER\n", br)
		fmt.Fprintf(b, "-A DOCKER-FORWARD -i %s -j ACCEPT\n", br)
	}
	b.WriteString("COMMIT\n")
}

func (t *Iptables) writeNAT(b *strings.Builder, f Family) {
	b.WriteString("*nat\n:DOCKER -\n")
	b.WriteString("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n")
	switch {
	case !t.cfg.UserlandProxy.On:
		b.WriteString("-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER\n")
	case f == IPv4:
		b.WriteString("-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER\n")
	default:
		b.WriteString("-A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER\n")
	}
	networks := t.networks(f)
	slices.Reverse(networks) // inserted at the head, like the ports
	for _, n := range networks {
		br := bridgeName(n)
		if !t.cfg.UserlandProxy.On {
			fmt.Fprintf(b, "-A POSTROUTING -o %s -m addrtype --src-type LOCAL -j MASQUERADE\n", br)
		}
		fmt.Fprintf(b, "-A POSTROUTING -s %s ! -o %s -j MASQUERADE\n", n.subnet(f), br)
	}
	t.eachPort(f, func(n Network, c Container, p Port) {
		fmt.Fprintf(b, "-A %s\n", t.dnatRule(n, c, p, f))
		if !t.cfg.UserlandProxy.On {
			fmt.Fprintf(b, "-A %s\n", selfRule(c, p, f))
		}
	})
	b.WriteString("COMMIT\n")
}

// portChange is what to feed to iptables-restore --noflush to add or delete
// one port.
func (t *Iptables) portChange(n Network, c Container, p Port, f Family, add bool) string {
	if !p.in(f) || !c.addr(f).IsValid() {
		return ""
	}
	insert, appendTo := "-I", "-A"
	if !add {
		insert, appendTo = "-D", "-D"
	}
	var b strings.Builder
	if rule := loopbackRule(p, f); rule != "" {
		fmt.Fprintf(&b, "*raw\n%s %s\nCOMMIT\n", appendTo, rule)
	}
	fmt.Fprintf(&b, "*filter\n%s %s\nCOMMIT\n", insert, acceptRule(n, c, p, f))
	fmt.Fprintf(&b, "*nat\n%s %s\n", appendTo, t.dnatRule(n, c, p, f))
	if !t.cfg.UserlandProxy.On {
		fmt.Fprintf(&b, "%s %s\n", appendTo, selfRule(c, p, f))
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// dnatRule sends what arrives for the host's port to the container. With the
// proxy it leaves the container's own network to that.
func (t *Iptables) dnatRule(n Network, c Container, p Port, f Family) string {
	var match strings.Builder
	if f == IPv6 {
		match.WriteString(" ! -s fe80::/10")
	}
	if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
		fmt.Fprintf(&match, " -d %s", p.HostIP)
	}
	if t.cfg.UserlandProxy.On {
		fmt.Fprintf(&match, " ! -i %s", bridgeName(n))
	}
	to := netip.AddrPortFrom(c.addr(f), p.ContainerPort)
	return fmt.Sprintf("DOCKER%s -p %s -m %s --dport %d -j DNAT --to-destination %s", match.String(), p.Proto, p.Proto, p.HostPort, to)
}

// selfRule has a container that reaches itself see the gateway.
func selfRule(c Container, p Port, f Family) string {
	a := c.addr(f)
	return fmt.Sprintf("POSTROUTING -s %s -d %s -p %s -m %s --dport %d -j MASQUERADE", a, a, p.Proto, p.Proto, p.ContainerPort)
}

func acceptRule(n Network, c Container, p Port, f Family) string {
	br := bridgeName(n)
	return fmt.Sprintf("DOCKER -d %s ! -i %s -o %s -p %s -m %s --dport %d -j ACCEPT", c.addr(f), br, br, p.Proto, p.Proto, p.ContainerPort)
}

// loopbackRule drops frames from the LAN that were forged for a port that is
// published on 127.0.0.1.
func loopbackRule(p Port, f Family) string {
	if f != IPv4 || !p.HostIP.IsLoopback() {
		return ""
	}
	return fmt.Sprintf("PREROUTING -d %s ! -i lo -p %s -m %s --dport %d -j DROP", p.HostIP, p.Proto, p.Proto, p.HostPort)
}

// networks lists those that have the family.
func (s *site) networks(f Family) []Network {
	return slices.DeleteFunc(slices.Clone(s.spec.Networks), func(n Network) bool { return !n.subnet(f).IsValid() })
}

func (s *site) eachContainer(f Family, do func(Network, Container)) {
	for _, n := range s.networks(f) {
		for _, c := range n.Containers {
			if c.addr(f).IsValid() {
				do(n, c)
			}
		}
	}
}

func (s *site) eachPort(f Family, do func(Network, Container, Port)) {
	s.eachContainer(f, func(n Network, c Container) {
		for _, p := range c.Publish {
			if p.in(f) {
				do(n, c, p)
			}
		}
	})
}
