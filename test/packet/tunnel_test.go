// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/test/netlab"
)

/*
 * BPF_PROG_TEST_RUN takes the first 14 bytes of every packet for an Ethernet
 * header. A packet without one gets through as what it is if these bytes, which
 * are its IP header's, say the same: the EtherType is where the source address
 * has its first bytes (IPv4: 8.0.x.x) or its fifth and sixth (IPv6), and the
 * first six bytes are the interface's MAC address, so that the packet is for
 * this host. The first byte must be even then: IPv4 needs an option. What
 * follows these 14 bytes must be no shorter than an IP header.
 */
var (
	tunnelHost4   = netip.MustParsePrefix("8.0.0.2/24")
	tunnelHost6   = netip.MustParsePrefix("2001:db8:86dd::2/64")
	tunnelRemote4 = netip.MustParseAddr("8.0.0.9")
	tunnelRemote6 = netip.MustParseAddr("2001:db8:86dd::9")
	tunnelNet4    = netip.MustParsePrefix("8.0.1.0/24")
	tunnelNet6    = netip.MustParsePrefix("2001:db8:86dd:1::/64")
	noOperation   = []byte{1, 1, 1, 1}
)

func (l *lab) addTunnel(pen *netlab.Namespace) error {
	err := errors.Join(l.host.AddVeth("tun0", pen, "tun0"), l.host.AddAddr("tun0", tunnelHost4), l.host.AddAddr("tun0", tunnelHost6))
	if err != nil {
		return err
	}
	return l.addUplink("tun0", tunnelHost4.Addr(), tunnelHost6.Addr())
}

// tunnelled makes p one that arrives at tun0.
func (f family) tunnelled(t *testing.T, p packet) packet {
	t.Helper()
	p.bare = true
	if !f.six {
		p.options = noOperation
	}
	check(t, f.lab.host.SetMAC("tun0", net.HardwareAddr(p.bytes()[:6])))
	return p
}

// unwrapped is p as a container gets it.
func (f family) unwrapped(container string, p packet) *packet {
	q := f.into(container, p)
	q.bare = false
	return q
}

// Where frames have no link-layer header, all is as with Ethernet; what goes
// into a container is given a header.
func TestTunnel(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D10", "D28", "D09")
		remote, host := f.pick(tunnelRemote4, tunnelRemote6), f.hostAddr("tun0")
		at := f.atUplink("tun0")
		for _, proto := range []byte{tcp, udp} {
			f.clear(t)
			in := f.tunnelled(t, packet{src: remote, dst: host, ttl: 60, proto: proto, sport: 40000, dport: 8080, flags: syn, payload: []byte("hello, world")})
			delivered := in
			delivered.dst, delivered.dport = f.container("c1"), 80
			s := step{prog: f.FromTun, in: in, ctx: at, verdict: redirect, out: f.unwrapped("c1", delivered), flows: 2}
			f.run(t, "published", s)
			reply := f.unwrapped("c1", delivered).answer()
			replied := reply
			replied.src, replied.sport = host, 8080
			f.run(t, "published, answer", step{prog: f.FromContainer, in: reply, ctx: f.at("c1"), verdict: redirect, out: outOf(replied)})
			if got := f.way(t, reply).Oif; got != f.uplinks["tun0"].ifindex {
				t.Errorf("published, answer: oif %d", got)
			}
			s.flows = 0
			f.run(t, "published, again", s)

			out := f.from("c1", remote, 5000, 80)
			out.proto, out.payload = proto, []byte("hello, world")
			sent := out
			sent.src = host
			f.run(t, "masquerade", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
			answer := f.tunnelled(t, sent.answer())
			back := answer
			back.dst = out.src
			f.run(t, "masquerade, answer", step{prog: f.FromTun, in: answer, ctx: at, verdict: redirect, out: f.unwrapped("c1", back)})
			kind := either[byte](f.six, 3, 1)
			e, origin := f.tunnelled(t, sent.quote(remote, kind, 3, 0)), out.quote(remote, kind, 3, 0)
			origin.options = e.options
			f.run(t, "masquerade, error", step{prog: f.FromTun, in: e, ctx: at, verdict: redirect, out: f.unwrapped("c1", origin)})
		}
	})
}

func TestTunnelNot(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D08", "D09", "N21")
		remote, host := f.pick(tunnelRemote4, tunnelRemote6), f.hostAddr("tun0")
		at := f.atUplink("tun0")
		in := packet{src: remote, dst: host, ttl: 60, proto: tcp, sport: 40000, dport: 22, flags: syn}
		f.run(t, "the host's", step{prog: f.FromTun, in: f.tunnelled(t, in), ctx: at, verdict: next})
		in.dst, in.dport = f.container("c1"), 80
		f.run(t, "directly to a container", step{prog: f.FromTun, in: f.tunnelled(t, in), ctx: at,
			verdict: drop, hook: atUplink, reason: bpf.VethwayDropReasonDROP_DIRECT})
		in.dst, in.dport, in.src = host, 8080, f.container("v1")
		f.run(t, "from a container's address", step{prog: f.FromTun, in: f.tunnelled(t, in), ctx: at,
			verdict: drop, hook: atUplink, reason: bpf.VethwayDropReasonDROP_SPOOFED_IP})

		out := f.tunnelled(t, packet{src: f.container("v1"), dst: remote, ttl: 60, proto: tcp, sport: 5000, dport: 80, flags: syn})
		sent := out
		sent.src = host
		ctx := skBuff{Ifindex: at.Ifindex, IngressIfindex: f.containers["v1"].network.ifindex}
		f.run(t, "by the stack", step{prog: f.ToTun, in: out, ctx: ctx, verdict: next, out: &sent, flows: 2})
		out.flags, out.sport = rst, 5001
		f.run(t, "by the stack, out of state", step{prog: f.ToTun, in: out, ctx: ctx, verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_LEAK})
		hosts := f.tunnelled(t, packet{src: host, dst: remote, ttl: 60, proto: tcp, sport: 50000, dport: 80, flags: syn})
		f.run(t, "the host's own", step{prog: f.ToTun, in: hosts, ctx: at, verdict: next})
	})
}

// A fragment that comes before the first one takes the detour, which has Ethernet headers.
func TestTunnelDetour(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N10")
		check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{Detour: f.uplinks["eth1"].ifindex, DetourMac: detourMAC}))
		defer func() { check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{})) }()
		emptyMap(t, f.Fragments)
		p := packet{src: f.pick(tunnelRemote4, tunnelRemote6), dst: f.hostAddr("tun0"), ttl: 60, id: 9, proto: udp, sport: 40000, dport: 8080, payload: make([]byte, 64)}
		etherType := either[uint16](f.six, etherIPv4, etherIPv6)
		for _, c := range []struct {
			name   string
			offset uint16
			more   bool
		}{{"the last one", 64, false}, {"the first one", 0, true}} {
			in := f.tunnelled(t, f.fragment(p, c.offset, c.more))
			want := append(ethernet(detourMAC, mac{}, etherType), in.bytes()...)
			f.run(t, c.name, step{prog: f.FromTun, in: in, ctx: f.atUplink("tun0"), verdict: redirect, rawOut: want})
		}
	})
}
