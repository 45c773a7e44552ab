// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// hostile is what others do to a host's firewall.
type hostile struct {
	name  string
	setUp func(l lab)
}

func hostiles() []hostile {
	nft := func(rules string) func(l lab) {
		return func(l lab) {
			l.Helper()
			_, err := l.topo.Host.RunInput(l.Context(), rules, "nft", "-f", "-")
			l.must(err)
		}
	}
	lines := func(commands ...string) func(l lab) {
		return func(l lab) {
			l.Helper()
			for _, c := range commands {
				l.command(l.at("H"), c)
			}
		}
	}
	return []hostile{
		{"forward policy drop", lines(
			"iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP")},
		{"invalid drop", nft(invalidDrop)},
		{"bridge netfilter", func(l lab) {
			lines("iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP",
				"iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP")(l)
			for _, key := range []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables", "net.bridge.bridge-nf-call-arptables"} {
				l.must(l.topo.Host.SetSysctl(key, "1"))
			}
		}},
		{"flush", lines(
			"nft flush ruleset", "iptables -F", "iptables -t nat -F", "ip6tables -F", "ip6tables -t nat -F", "iptables -X")},
		{"reload", nft("flush ruleset\n" + zones + "flush ruleset\n" + zones)},
		{"foreign NAT", lines(
			"iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE", "ip6tables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
			"iptables -t nat -A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 9")},
	}
}

// invalidDrop drops whatever connection tracking has not seen begin, and forwards nothing new.
const invalidDrop = `table inet strict {
	chain input { type filter hook input priority 0; policy accept; ct state invalid drop; }
	chain output { type filter hook output priority 0; policy accept; ct state invalid drop; }
	chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; ct state invalid drop; }
}
`

// zones is a firewall as firewalld would write it.
const zones = `table inet firewalld {
	chain filter_INPUT { type filter hook input priority 10; policy accept;
		ct state { established, related } accept
		ct state invalid drop
	}
	chain filter_FORWARD { type filter hook forward priority 10; policy accept;
		ct state { established, related } accept
		ct state invalid drop
		reject with icmpx admin-prohibited
	}
	chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept; }
	chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10; policy accept; oifname "eth0" masquerade; }
}
`

// Whatever the host's firewall is, all behaviours hold, established flows go on, nothing foreign is changed, and
// connection tracking knows nothing of what bypasses the stack.
func TestForeignFirewalls(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nft", "iptables", "ip6tables", "iptables-save", "ip6tables-save", "conntrack")
	t.Parallel()
	for _, h := range hostiles() {
		t.Run(strings.ReplaceAll(h.name, " ", "-"), func(t *testing.T) {
			behaviour.Covers(t, "D35", behaviour.Both)
			t.Parallel()
			l := newLab(t)
			through := l.bypassing()
			h.setUp(l)
			before := l.ruleset()
			if h.name != "flush" && strings.Count(before, "\n") < 3 {
				l.Fatalf("there is no firewall to be tested with: %q", before)
			}
			for _, a := range []family{ipv4(), ipv6()} {
				l.holds(a)
			}
			through.unharmed()
			l.bypasses()
			l.changes()
			if after := l.ruleset(); after != before {
				l.Errorf("the rules have changed: before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

// bypassing opens streams of every kind that the stack must not see.
func (l lab) bypassing() *held {
	l.Helper()
	streams := &held{l: l}
	for _, a := range []family{ipv4(), ipv6()} {
		for _, network := range protocols() {
			streams.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
			streams.add(l.at("c1"), network, port(a.remote, remotePort), netip.AddrPort{})
			streams.add(l.at("c2"), network, port(a.c1, serverPort), netip.AddrPort{})
			streams.add(l.at("c2"), network, port(a.host, publishedPort), netip.AddrPort{})
			streams.add(l.at("d1"), network, port(a.gateway1, publishedPort), netip.AddrPort{})
			streams.add(l.at("c1"), network, port(a.gateway1, publishedPort), netip.AddrPort{})
		}
	}
	return streams
}

// holds asks from everywhere.
func (l lab) holds(a family) {
	l.Helper()
	l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
	for _, own := range []netip.Addr{a.host, a.gateway1, a.gateway2, a.loopback} {
		l.sees(l.at("H"), port(own, publishedPort), "c1", a.gateway1)
	}
	l.sees(l.at("c1"), port(a.host, publishedPort), "c1", a.gateway1)
	l.seesItself(l.at("c2"), port(a.host, publishedPort), "c1")
	l.seesItself(l.at("d1"), port(a.gateway1, publishedPort), "c1")
	l.seesItself(l.at("c2"), port(a.c1, otherPort), "c1")
	l.sees(l.at("d1"), port(a.remote, remotePort), "R", a.host)
	l.pings(l.at("d1"), a.remote)
	l.pings(l.at("c2"), a.c1)
	l.seesItself(l.at("c1"), port(a.host, remotePort), "H")
	l.sees(l.at("H"), port(a.c2, otherPort), "c2", a.gateway1)
	l.ends(l.at("d1"), port(a.c1, serverPort), netlab.TimesOut)
	l.must(l.topo.RouteToContainers(a.subnet1))
	l.ends(l.at("R"), port(a.c1, serverPort), netlab.TimesOut)
}

// bypasses holds streams open and wants connection tracking, where it is on, to know none of them.
func (l lab) bypasses() {
	l.Helper()
	streams := l.bypassing()
	table, err := l.topo.Host.Run(l.Context(), "conntrack", "-L")
	l.must(err)
	table6, err := l.topo.Host.Run(l.Context(), "conntrack", "-L", "-f", "ipv6")
	l.must(err)
	for line := range strings.Lines(table + table6) {
		if !l.byStack(line) {
			l.Errorf("tracked: %s", line)
		}
	}
	streams.unharmed()
}

// byStack: the entry is of what goes through the host's stack by design: what its own processes say to containers, what
// containers say to its services, and its own chatter.
func (l lab) byStack(line string) bool {
	fields := strings.Fields(line)
	value := func(key string) string {
		for _, f := range fields {
			if v, ok := strings.CutPrefix(f, key+"="); ok {
				return v
			}
		}
		return ""
	}
	from, err := netip.ParseAddr(value("src"))
	if err != nil {
		return true // no entry
	}
	if from == ipv4().gateway1 || from == ipv6().gateway1 {
		return true
	}
	if !strings.HasPrefix(line, "tcp") && !strings.HasPrefix(line, "udp") {
		return true
	}
	to := netip.MustParseAddr(value("dst"))
	return value("dport") == "9000" && (to == l.topo.Host4 || to == l.topo.Host6)
}

// changes makes the daemon work, under the firewall: it must not write rules then either.
func (l lab) changes() {
	l.Helper()
	spec := both(publishSpec(8099))
	l.publish("c2", spec...)
	l.seesItself(l.at("R"), port(l.topo.Host4, 8099), "c2")
	l.unpublish("c2", spec...)
	l.must(l.vw.Stop())
	l.must(l.vw.Restart(l.Context()))
	l.seesItself(l.at("R"), port(l.topo.Host4, publishedPort), "c1")
}

// packetCounter is what differs from one listing to the next.
func packetCounter() *regexp.Regexp { return regexp.MustCompile(`counter packets \d+ bytes \d+`) }

// ruleset is all rules of the host, without counters.
func (l lab) ruleset() string {
	l.Helper()
	var b strings.Builder
	for _, command := range []string{"iptables-save", "ip6tables-save", "nft list ruleset"} {
		for line := range strings.Lines(l.command(l.at("H"), command)) {
			if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ":") {
				line, _, _ = strings.Cut(line, "[")
				line, _, _ = strings.Cut(line, " on ")
			}
			b.WriteString(packetCounter().ReplaceAllString(line, ""))
		}
	}
	return b.String()
}
