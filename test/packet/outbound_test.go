// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// What the stack sends out for a container is masqueraded as it leaves, and
// the stack gets the answers: neither direction takes the other path.
func TestMasqueradeByStack(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D28", "N21")
		base := f.from("c1", f.remote(), 5000, 80)
		asUDP := base
		asUDP.proto = udp
		for name, out := range map[string]packet{"tcp": base, "udp": asUDP, "ping": f.ping(base, 5000)} {
			f.clear(t)
			sent := out
			sent.src = f.host()
			s := step{prog: f.ToUplink, in: out, ctx: f.forwarded("eth0", "c1"), verdict: next, out: &sent, flows: 2}
			f.run(t, name, s)
			s.flows = 0
			f.run(t, name+" again", s)
			answer := f.arriving("eth0", sent.answer())
			back := answer
			back.dst = out.src
			f.run(t, name+" answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: next, out: &back})
			f.run(t, name+" answer at the bridge", step{prog: f.ToBridge, in: back, ctx: f.atBridge("c1", "eth0"), verdict: next})
			f.run(t, name+" from the container again", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: next})
			back.sport++
			if !back.echo() {
				f.run(t, name+" from another port", step{prog: f.ToBridge, in: back, ctx: f.atBridge("c1", "eth0"),
					verdict: drop, hook: toBridge, reason: bpf.VethwayDropReasonDROP_DIRECT})
			}
		}
	})
}

// Any address that means something on this host only is masqueraded, with the
// address of the uplink that it leaves by, or the network's own.
func TestMasqueradeByStackAddresses(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N21", "D28")
		fixed := f.containers["f1"].network
		for _, c := range []struct {
			name string
			in   packet
			dev  string
		}{
			{"a gateway", f.from("c1", f.remote(), 5000, 80).answer().answer(), "eth0"},
			{"nobody of a subnet", f.from("c1", f.remote(), 5000, 80), "eth0"},
			{"another uplink", f.from("c1", f.remote(), 5000, 80), "eth1"},
			{"a fixed address", f.from("f1", f.remote(), 5000, 80), "eth1"},
		} {
			want := f.hostAddr(c.dev)
			switch c.name {
			case "a gateway":
				c.in.src = f.gateway("c1")
			case "nobody of a subnet":
				c.in.src = f.parse("172.30.1.99", "fd30:1::99")
			case "a fixed address":
				want = f.pick(fixed.snat4, fixed.snat6)
			}
			sent := c.in
			sent.src = want
			f.clear(t)
			f.run(t, c.name, step{prog: f.ToUplink, in: c.in, ctx: skBuff{Ifindex: f.uplinks[c.dev].ifindex}, verdict: next, out: &sent, flows: 2})
		}
		in := f.from("c1", f.remote(), 5001, 80)
		f.run(t, "no uplink", step{prog: f.ToUplink, in: in, ctx: f.at("c2"), verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_NOT_UPLINK})
		eth1 := f.uplinks["eth1"].ifindex
		check(t, f.Uplinks.Put(eth1, bpf.VethwayUplinkValue{Mtu: 1500}))
		f.run(t, "no address", step{prog: f.ToUplink, in: in, ctx: skBuff{Ifindex: eth1}, verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_NO_ADDRESS})
		check(t, f.Networks.Delete(uint32(f.containers["c1"].network.id)))
		f.run(t, "no network", step{prog: f.ToUplink, in: in, ctx: f.atUplink("eth0"), verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_LEAK})
	})
}

// The host's own traffic passes untouched and leaves no trace, but for pings
// whose identifier is in the pool: those are reserved like a container's.
func TestHostTraffic(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D12")
		out := packet{src: f.host(), dst: f.remote(), ttl: 64, proto: tcp, sport: 5000, dport: 80, flags: syn}
		asUDP := out
		asUDP.proto = udp
		stranger := out
		stranger.src = f.parse("203.0.113.77", "2001:db8:77::1")
		for name, p := range map[string]packet{"tcp": out, "udp": asUDP, "ping": f.ping(out, poolLast+1), "forwarded for others": stranger} {
			f.run(t, name, step{prog: f.ToUplink, in: p, ctx: f.atUplink("eth0"), verdict: next})
			f.run(t, name+", answer", step{prog: f.FromUplink, in: f.arriving("eth0", p.answer()), ctx: f.atUplink("eth0"), verdict: next})
		}
		ping := f.ping(out, 5000)
		f.run(t, "ping", step{prog: f.ToUplink, in: ping, ctx: f.atUplink("eth0"), verdict: next, flows: 2})
		f.run(t, "ping again", step{prog: f.ToUplink, in: ping, ctx: f.atUplink("eth0"), verdict: next})
		answer := f.arriving("eth0", ping.answer())
		f.run(t, "answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: next})

		// A container's ping with the same identifier gets another, and the other way round.
		theirs := f.ping(f.from("c1", f.remote(), 0, 0), 5000)
		_, err := run(f.FromContainer, theirs.bytes(), f.at("c1"))
		check(t, err)
		if wire(f.flow(t, theirs).N_sport) == 5000 {
			t.Error("the container was given the host's identifier")
		}
		theirs = f.ping(theirs, 6000)
		sent := theirs
		sent.src = f.host()
		f.run(t, "container's ping", step{prog: f.FromContainer, in: theirs, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		ping = f.ping(ping, 6000)
		r, err := run(f.ToUplink, ping.bytes(), f.atUplink("eth0"))
		check(t, err)
		changed := ping
		changed.sport = wire(f.flow(t, ping).N_sport)
		if changed.sport == 6000 {
			t.Error("the host was given the container's identifier")
		}
		f.compare(t, "host's ping", ping.bytes(), step{in: ping, verdict: next, out: &changed}, r)
		answer = f.arriving("eth0", changed.answer())
		back := answer
		back.dport = 6000
		f.run(t, "host's ping, answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: next, out: &back})
	})
}

// Where a packet would leave, and whether it may, the kernel's routes say.
func TestRoutes(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		dst := f.parse("203.0.113.9", "2001:db8:9::9")
		out := f.from("c1", dst, 5000, 80)
		s := step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: drop, hook: atContainer}
		f.routed(t, dst, "eth1", f.parse("198.51.100.3", "2001:db8:3::3"), netip.Addr{}, func() {
			check(t, f.Uplinks.Delete(f.uplinks["eth1"].ifindex))
			s.reason = bpf.VethwayDropReasonDROP_NOT_UPLINK
			f.run(t, "by no uplink", s)
		})
		// A route over a bridge of ours leads into a container network.
		f.routed(t, dst, "br-two", f.container("d1"), netip.Addr{}, func() { f.run(t, "by a bridge of ours", s) })
		sysctl := either(f.six, "net.ipv4.conf.br-one.forwarding", "net.ipv6.conf.br-one.forwarding")
		check(t, f.lab.host.SetSysctl(sysctl, "0"))
		defer func() { check(t, f.lab.host.SetSysctl(sysctl, "1")) }()
		s.reason = bpf.VethwayDropReasonDROP_FORWARDING_OFF
		f.run(t, "forwarding is off", s)
	})
}
