// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// Within a network nothing is translated, no flow is made, and the TTL stays.
func TestDeliverToNeighbour(t *testing.T) {
	bothWays(t, func(t *testing.T, f family) {
		base := f.from("c1", f.container("c2"), 5000, 80)
		base.dstMAC = f.containers["c2"].mac
		with := base.with
		for _, c := range []struct {
			name string
			in   packet
		}{
			{"tcp", base},
			{"udp", with(func(p *packet) { p.proto = udp })},
			{"ping", f.ping(base, 7)},
			{"out of state", with(func(p *packet) { p.flags = rst })},
			{"unknown protocol", with(func(p *packet) { p.proto = 47 })},
			{"TTL 1", with(func(p *packet) { p.ttl = 1 })},
			{"the published number", with(func(p *packet) { p.dport = 8080 })},
			{"an old neighbour entry", with(func(p *packet) { p.dstMAC = mac{2, 0, 0, 0, 0, 99} })},
			{"large", with(func(p *packet) { p.payload = make([]byte, 3000) })},
		} {
			out := c.in
			out.dstMAC = f.containers["c2"].mac
			r := f.run(t, c.name, step{prog: f.FromContainer, in: c.in, ctx: skBuff{Ifindex: f.containers["c1"].ifindex, Mark: 0x77}, verdict: redirect, out: &out})
			if r.ctx.Mark != 0 {
				t.Errorf("%s: the mark %#x goes into the container", c.name, r.ctx.Mark)
			}
		}
		fragment := base
		fragment.frag, fragment.proto, fragment.payload = 0x2000, udp, make([]byte, 64)
		if f.six {
			fragment.headers = []header{{44, []byte{0, 1, 0, 0, 0, 1}}}
		}
		f.run(t, "fragment", step{prog: f.FromContainer, in: fragment, ctx: f.at("c1"), verdict: redirect, out: &fragment})
		f.run(t, "no ICC", step{prog: f.FromContainer, in: f.from("q1", f.container("q2"), 5000, 80), ctx: f.at("q1"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_NO_ICC})
	})
}

// Between networks nothing passes, whoever routes it.
func TestIsolation(t *testing.T) {
	bothWays(t, func(t *testing.T, f family) {
		f.covers(t, "D08", "D09")
		for _, c := range []struct {
			name string
			in   packet
			from string
		}{
			{"one to two", f.from("c1", f.container("d1"), 5000, 80), "c1"},
			{"two to one", f.from("d1", f.container("c1"), 5000, 80), "d1"},
			{"two to one, the published number", f.from("d1", f.container("c1"), 5000, 8080), "d1"},
			{"ping", f.ping(f.from("d1", f.container("c1"), 0, 0), 3), "d1"},
			{"answer out of state", f.from("d1", f.container("c1"), 80, 5000).answer().answer(), "d1"},
			{"to nobody of another subnet", f.from("d1", f.parse("172.30.1.99", "fd30:1::99"), 5000, 80), "d1"},
			{"to a network without masquerade", f.from("c1", f.container("p1"), 5000, 80), "c1"},
			{"from a network without masquerade", f.from("p1", f.container("c1"), 5000, 80), "p1"},
		} {
			f.run(t, c.name, step{prog: f.FromContainer, in: c.in, ctx: f.at(c.from),
				verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_ISOLATED})
		}
		f.run(t, "to nobody of one's own subnet", step{prog: f.FromContainer, in: f.from("d1", f.parse("172.30.2.99", "fd30:2::99"), 5000, 80),
			ctx: f.at("d1"), verdict: next})
		for _, from := range []string{"d1", "eth0", "eth1"} {
			p := f.from("d1", f.container("c1"), 5000, 80)
			for name, p := range map[string]packet{"tcp": p, "ping": f.ping(p, 3)} {
				f.run(t, name+" routed in from "+from, step{prog: f.ToBridge, in: p, ctx: f.atBridge("c1", from),
					verdict: drop, hook: toBridge, reason: bpf.VethwayDropReasonDROP_DIRECT})
			}
		}
		f.run(t, "bridged", step{prog: f.ToBridge, in: f.from("c2", f.container("c1"), 5000, 80), ctx: f.atBridge("c1", "c2"), verdict: next})
	})
}

// A container speaks for itself only.
func TestAntispoof(t *testing.T) {
	bothWays(t, func(t *testing.T, f family) {
		base := f.from("c1", f.remote(), 5000, 80)
		neighbour := f.from("c1", f.container("c2"), 5000, 80)
		as := func(p packet, src netip.Addr, m mac) packet {
			p.src, p.srcMAC = src, m
			return p
		}
		own, other := f.containers["c1"].mac, f.containers["c2"].mac
		for _, c := range []struct {
			name   string
			in     packet
			reason reason
		}{
			{"MAC", as(base, base.src, other), bpf.VethwayDropReasonDROP_SPOOFED_MAC},
			{"MAC, to a neighbour", as(neighbour, base.src, other), bpf.VethwayDropReasonDROP_SPOOFED_MAC},
			{"a neighbour's address", as(base, f.container("c2"), own), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"a neighbour's address and MAC", as(base, f.container("c2"), other), bpf.VethwayDropReasonDROP_SPOOFED_MAC},
			{"the gateway's address", as(neighbour, f.gateway("c1"), own), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"the host's address", as(neighbour, f.host(), own), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"a stranger's address", as(base, f.parse("203.0.113.1", "2001:db8:9::1"), own), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"a loopback address", as(base, f.parse("127.0.0.1", "::1"), own), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"no address", as(base, f.parse("0.0.0.0", "::"), own), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"ICMP error from a stranger", f.errorFrom("c1", f.parse("203.0.113.1", "2001:db8:9::1")), bpf.VethwayDropReasonDROP_SPOOFED_IP},
		} {
			f.run(t, c.name, step{prog: f.FromContainer, in: c.in, ctx: f.at("c1"), verdict: drop, hook: atContainer, reason: c.reason})
		}
		f.run(t, "a veth that nobody knows", step{prog: f.FromContainer, in: base, ctx: f.atUplink("eth1"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_UNKNOWN_ENDPOINT})

		// A neighbour's flow serves nobody else.
		theirs := f.from("c2", f.remote(), 5000, 80)
		sent := theirs
		sent.src = f.host()
		f.run(t, "neighbour's flow", step{prog: f.FromContainer, in: theirs, ctx: f.at("c2"), verdict: redirect, out: outOf(sent), flows: 2})
		theirs.srcMAC = own
		f.run(t, "packet of a neighbour's flow", step{prog: f.FromContainer, in: theirs, ctx: f.at("c1"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_SPOOFED_IP})
	})
}

// errorFrom is an ICMP error that a container sends in somebody's name, about
// a flow that does not exist.
func (f family) errorFrom(container string, src netip.Addr) packet {
	about := f.inbound("eth0", f.remote(), f.container(container), 5000, 80)
	kind, code := byte(3), byte(3)
	if f.six {
		kind, code = 1, 4
	}
	e := about.quote(src, kind, code, 0)
	e.srcMAC, e.dstMAC = f.containers[container].mac, f.containers[container].network.mac
	return e
}

// What is not IP, or for everybody, is the bridge's.
func TestBridged(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D32")
		c := f.containers["c1"]
		base := f.from("c1", f.parse("239.1.1.1", "ff02::fb"), 5353, 5353)
		base.proto = udp
		with := base.with
		for _, m := range []struct {
			name string
			in   packet
		}{
			{"multicast", with(func(p *packet) { p.dstMAC = mac{0x33, 0x33, 0, 0, 0, 0xfb} })},
			{"multicast in a unicast frame", base},
			{"broadcast", with(func(p *packet) {
				p.dst, p.dstMAC = f.parse("255.255.255.255", "ff02::1"), mac{255, 255, 255, 255, 255, 255}
			})},
			{"broadcast in a unicast frame", with(func(p *packet) { p.dst = f.parse("255.255.255.255", "ff02::1") })},
			{"wider multicast in a unicast frame", with(func(p *packet) { p.dst = f.parse("224.0.1.1", "ff0e::1") })},
		} {
			f.run(t, m.name, step{prog: f.FromContainer, in: m.in, ctx: f.at("c1"), verdict: next})
		}
		for _, etherType := range []uint16{0x88cc, 0x8847, 0x0600, 0x0027} {
			frame := slices.Concat(ethernet(mac{255, 255, 255, 255, 255, 255}, c.mac, etherType), make([]byte, 50))
			f.run(t, "another protocol", step{prog: f.FromContainer, raw: frame, ctx: f.at("c1"), verdict: next})
			f.run(t, "another protocol at the uplink", step{prog: f.FromUplink, raw: frame, ctx: f.atUplink("eth0"), verdict: next})
			f.run(t, "another protocol to the uplink", step{prog: f.ToUplink, raw: frame, ctx: f.atUplink("eth0"), verdict: next})
			copy(frame[6:], f.containers["c2"].mac[:])
			f.run(t, "another protocol, spoofed", step{prog: f.FromContainer, raw: frame, ctx: f.at("c1"),
				verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_SPOOFED_MAC})
		}
		// Multicast from an uplink is the stack's.
		p := f.inbound("eth0", f.remote(), f.parse("224.0.0.251", "ff02::fb"), 8080, 8080)
		p.dstMAC, p.proto = mac{1, 0, 0x5e, 0, 0, 0xfb}, udp
		f.run(t, "multicast from outside", step{prog: f.FromUplink, in: p, ctx: f.atUplink("eth0"), verdict: next})
	})
}
