// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// A container's packet leaves with the host's address, and the answer finds
// back, for each protocol.
func TestMasquerade(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D10")
		base := f.from("c1", f.remote(), 5000, 80)
		asUDP := base
		asUDP.proto = udp
		for name, out := range map[string]packet{"tcp": base, "udp": asUDP, "ping": f.ping(base, 5000)} {
			f.clear(t)
			sent := out
			sent.src = f.host()
			f.run(t, name+" first", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
			flow, way := f.flow(t, out), f.way(t, out)
			if flow.Kind != bpf.VethwayFlowKindFLOW_MASQUERADE || flow.Action != bpf.VethwayFlowActionFLOW_TO_UPLINK ||
				way.Oif != f.uplinks["eth0"].ifindex || fromAddr(way.NextHop) != f.remote() {
				t.Errorf("%s: flow\n%s", name, f.describe(t))
			}

			answer := f.arriving("eth0", sent.answer())
			back := answer
			back.dst = out.src
			f.run(t, name+" answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})

			out.flags, sent.flags = ack, ack
			f.run(t, name+" again", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent)})
		}
	})
}

// A port is kept if it is in the pool and nobody else has it.
func TestMasqueradePort(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D10", "D12")
		f.usePort(t, tcp, 7000, portHost)
		for _, c := range []struct {
			name        string
			sport       uint16
			kept, taken bool
		}{
			{name: "first of the pool", sport: poolFirst, kept: true},
			{name: "last of the pool", sport: poolLast, kept: true},
			{name: "taken by a neighbour", sport: 5000, taken: true},
			{name: "published", sport: 8080},
			{name: "bound by the host", sport: 7000},
			{name: "below the pool", sport: poolFirst - 1},
			{name: "above the pool", sport: 40000},
			{name: "none", sport: 0},
		} {
			f.clear(t)
			if c.taken {
				other := f.from("c2", f.remote(), c.sport, 80)
				sent := other
				sent.src = f.host()
				f.run(t, c.name+": neighbour", step{prog: f.FromContainer, in: other, ctx: f.at("c2"), verdict: redirect, out: outOf(sent), flows: 2})
			}
			p := f.from("c1", f.remote(), c.sport, 80)
			r, err := run(f.FromContainer, p.bytes(), f.at("c1"))
			check(t, err)
			got := wire(f.flow(t, p).N_sport)
			if c.kept != (got == c.sport) || got < poolFirst || got > poolLast || got == 8080 || got == 7000 {
				t.Errorf("%s: %d became %d", c.name, c.sport, got)
			}
			sent := p
			sent.src, sent.sport = f.host(), got
			f.compare(t, c.name, p.bytes(), step{in: p, verdict: redirect, out: outOf(sent)}, r)

			answer := f.arriving("eth0", sent.answer())
			back := answer
			back.dst, back.dport = p.src, p.sport
			f.run(t, c.name+": answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})
		}
	})
}

// A network may have an address of its own to be masqueraded with.
func TestMasqueradeFixedAddress(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D27")
		n := f.containers["f1"].network
		out := f.from("f1", f.remote(), 5000, 80)
		sent := out
		sent.src = f.pick(n.snat4, n.snat6)
		f.run(t, "out", step{prog: f.FromContainer, in: out, ctx: f.at("f1"), verdict: redirect, out: outOf(sent), flows: 2})
		answer := f.arriving("eth0", sent.answer())
		back := answer
		back.dst = out.src
		f.run(t, "answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("f1", back)})
	})
}

// Without masquerade the container's address is on the wire, and only answers
// come back to it.
func TestMasqueradeOff(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D27")
		base := f.from("p1", f.remote(), 50000, 80)
		asUDP := base
		asUDP.proto = udp
		for name, out := range map[string]packet{"tcp": base, "udp": asUDP, "ping": f.ping(base, 50000)} {
			f.clear(t)
			f.run(t, name, step{prog: f.FromContainer, in: out, ctx: f.at("p1"), verdict: redirect, out: outOf(out), flows: 2})
			answer := f.arriving("eth0", out.answer())
			f.run(t, name+" answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("p1", answer)})
			answer.dport++
			f.run(t, name+" unasked", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"),
				verdict: drop, hook: atUplink, reason: bpf.VethwayDropReasonDROP_DIRECT})
		}
		out := base
		out.src = f.container("p1")
		f.run(t, "by the stack", step{prog: f.ToUplink, in: out, ctx: f.atUplink("eth0"), verdict: next})
	})
}

// A change of routes is seen by the next packet of every flow.
func TestMasqueradeFollowsRoutes(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D28")
		dst := f.parse("203.0.113.9", "2001:db8:9::9")
		one, fixed := f.from("c1", dst, 5000, 80), f.from("f1", dst, 5000, 80)
		sent := one
		sent.src = f.host()
		first := step{prog: f.FromContainer, in: one, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2}
		f.run(t, "first", first)
		fixedSent := fixed
		fixedSent.src = f.pick(f.containers["f1"].network.snat4, f.containers["f1"].network.snat6)
		fixedFirst := step{prog: f.FromContainer, in: fixed, ctx: f.at("f1"), verdict: redirect, out: outOf(fixedSent), flows: 2}
		f.run(t, "fixed: first", fixedFirst)

		again, fixedAgain := first, fixedFirst
		again.flows, fixedAgain.flows = 0, 0
		via := f.parse("192.0.2.200", "2001:db8:2::200")
		f.routed(t, dst, "eth0", via, netip.Addr{}, func() {
			f.run(t, "before it is told", again)
			if got := fromAddr(f.way(t, one).NextHop); got != f.remote() {
				t.Errorf("before it is told: next hop %s", got)
			}
			f.setGeneration(t, slotRoutes, 2)
			f.run(t, "another next hop", again)
			if way := f.way(t, one); fromAddr(way.NextHop) != via || way.Routes != 2 {
				t.Errorf("another next hop: %+v, want %s", way, via)
			}
		})
		f.routed(t, dst, "eth1", f.parse("198.51.100.3", "2001:db8:3::3"), netip.Addr{}, func() {
			f.setGeneration(t, slotRoutes, 3)
			f.run(t, "fixed: another uplink", fixedAgain)
			if way := f.way(t, fixed); way.Oif != f.uplinks["eth1"].ifindex || way.Routes != 3 {
				t.Errorf("fixed: another uplink: %+v", way)
			}
			f.run(t, "another address", step{prog: f.FromContainer, in: one, ctx: f.at("c1"),
				verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_SOURCE_GONE, flows: -2})
			sent.src = f.hostAddr("eth1")
			first.out = outOf(sent)
			f.run(t, "then a new flow", first)
		})
		f.clear(t)
		f.routed(t, dst, "eth0", via, f.pick(preferred4, preferred6), func() {
			sent.src = f.pick(preferred4, preferred6)
			first.out = outOf(sent)
			f.run(t, "the route's preferred source", first)
			answer := f.arriving("eth0", sent.answer())
			back := answer
			back.dst = one.src
			f.run(t, "the route's preferred source, answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})
		})
	})
}

// An address that is used again inherits nothing from who had it before.
func TestAddressUsedAgain(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		out := f.from("c1", f.remote(), 5000, 80)
		sent := out
		sent.src = f.host()
		open := step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2}
		f.run(t, "open", open)
		s := f.publishedSession(t, f.inbound("eth0", f.remote(), f.host(), 40000, 8080), "c1", 80)
		s.in.flags = ack
		answer := f.arriving("eth0", sent.answer())

		c := f.containers["c1"]
		c.mac[5]++ // another veth would do as well
		defer func() { c.mac[5]-- }()
		f.fill(t)
		f.setGeneration(t, c.slot, generation+1)
		f.setGeneration(t, 201, generation+1) // the daemon gives the port another slot, or another generation
		f.run(t, "answer to the old", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: next})
		f.run(t, "client of the old", step{prog: f.FromUplink, in: s.in, ctx: f.atUplink("eth0"), verdict: next, flows: -2})

		check(t, (&storm{family: f}).renew("c1", generation+1))
		open.in.srcMAC, open.out.srcMAC = c.mac, c.mac
		open.flows = 0 // two stale ones go
		f.run(t, "the new one", open)
		if got := f.flow(t, out); got.Generation != generation+1 || got.Packets != 1 {
			t.Errorf("the new one's flow: generation %d, %d packets", got.Generation, got.Packets)
		}
		back := answer
		back.dst = out.src
		f.run(t, "answer to the new one", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})
	})
}
