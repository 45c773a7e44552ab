// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// A SYN to a port that some session is translated to is not answered: the answer would break a simultaneous open
// (RFC 5382 REQ-4). Once the session is gone, the port is the host's again.
func TestUnsolicitedSYN(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N12")
		out := f.from("c1", f.remote(), 7001, 80)
		sent := out
		sent.src = f.host()
		f.run(t, "session", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		stranger := f.inbound("eth0", f.parse("192.0.2.4", "2001:db8:2::4"), f.host(), 6000, 7001)
		f.run(t, "a stranger's SYN", step{prog: f.FromUplink, in: stranger, ctx: f.atUplink("eth0"), verdict: drop,
			hook: atUplink, reason: bpf.VethwayDropReasonDROP_UNSOLICITED})
		data := stranger
		data.flags = ack
		f.run(t, "a stranger's data", step{prog: f.FromUplink, in: data, ctx: f.atUplink("eth0"), verdict: next})
		from := f.from("c2", f.host(), 6000, 7001)
		f.run(t, "a neighbour's SYN", step{prog: f.FromContainer, in: from, ctx: f.at("c2"), verdict: drop,
			hook: atContainer, reason: bpf.VethwayDropReasonDROP_UNSOLICITED})
		f.usePort(t, tcp, 7001, portHost)
		f.run(t, "to a service of the host", step{prog: f.FromUplink, in: stranger, ctx: f.atUplink("eth0"), verdict: next})
		f.usePort(t, tcp, 7001, 0)
		f.clear(t)
		f.run(t, "after the session", step{prog: f.FromUplink, in: stranger, ctx: f.atUplink("eth0"), verdict: next})
	})
}

// Who may send to a container's mapping: whom it has sent to; by option, everybody (RFC 4787 section 5).
func TestFiltering(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N05")
		out := f.from("c1", f.remote(), 7001, 80)
		out.proto = udp
		sent := out
		sent.src = f.host()
		f.run(t, "session", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		stranger := f.inbound("eth0", f.parse("192.0.2.4", "2001:db8:2::4"), f.host(), 6000, 7001)
		stranger.proto = udp
		to := step{prog: f.FromUplink, in: stranger, ctx: f.atUplink("eth0"), verdict: next}
		f.run(t, "a stranger", to)
		other := stranger
		other.src, other.sport = f.remote(), 81
		f.run(t, "another port of whom it has sent to", step{prog: f.FromUplink, in: other, ctx: f.atUplink("eth0"), verdict: next})

		f.anyRemote(t, "c1", true)
		defer f.anyRemote(t, "c1", false)
		into := stranger
		into.dst = f.container("c1")
		to.verdict, to.out, to.flows = redirect, f.into("c1", into), 2
		f.run(t, "a stranger, let in", to)
		answer := f.from("c1", stranger.src, 7001, 6000)
		answer.proto = udp
		back := answer
		back.src = f.host()
		f.run(t, "the answer", step{prog: f.FromContainer, in: answer, ctx: f.at("c1"), verdict: redirect, out: outOf(back)})
		nobody := stranger
		nobody.dport = 7002
		f.run(t, "to no mapping", step{prog: f.FromUplink, in: nobody, ctx: f.atUplink("eth0"), verdict: next})
	})
}

// Two containers that know of each other's external endpoints meet there, each seen with its own (RFC 4787 REQ-9).
func TestHairpinByMapping(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N06")
		for _, c := range []struct {
			name string
			port uint16
		}{{"c1", 7001}, {"d1", 7002}} {
			out := f.from(c.name, f.remote(), c.port, 80)
			out.proto = udp
			sent := out
			sent.src = f.host()
			f.run(t, c.name, step{prog: f.FromContainer, in: out, ctx: f.at(c.name), verdict: redirect, out: outOf(sent), flows: 2})
		}
		knock := f.from("d1", f.host(), 7002, 7001)
		knock.proto = udp
		held := step{prog: f.FromContainer, in: knock, ctx: f.at("d1"), verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_FILTERED}
		first := held
		first.flows = 2
		f.run(t, "before the other has sent", first)
		f.run(t, "again", held)
		// Nor is a complaint let in about what the other has not sent.
		unsent := packet{src: f.host(), dst: f.container("d1"), sport: 7001, dport: 7002, proto: udp, ttl: 64}
		complaint, _ := f.buildError(errorCase{by: "d1", from: unsent.dst, becomes: unsent.dst, quoted: unsent, origin: unsent}, shape{})
		f.run(t, "a complaint", step{prog: f.FromContainer, in: complaint, ctx: f.at("d1"), verdict: drop,
			hook: atContainer, reason: bpf.VethwayDropReasonDROP_FILTERED})
		reply := f.from("c1", f.host(), 7001, 7002)
		reply.proto = udp
		arrives := reply
		arrives.src, arrives.dst = f.host(), f.container("d1")
		f.run(t, "the other sends", step{prog: f.FromContainer, in: reply, ctx: f.at("c1"), verdict: redirect, out: f.into("d1", arrives)})
		open := knock
		open.src, open.dst = f.host(), f.container("c1")
		f.run(t, "now both", step{prog: f.FromContainer, in: knock, ctx: f.at("d1"), verdict: redirect, out: f.into("c1", open)})
	})
}

// Protocols in which nothing depends on an address are translated by addresses: one container for each destination.
func TestByAddressAlone(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N21")
		for _, proto := range []byte{4, 41, 47, 50} {
			out := f.from("c1", f.remote(), 0, 0)
			out.proto = proto
			sent := out
			sent.src = f.host()
			f.run(t, "out", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
			f.run(t, "again", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent)})
			answer := f.arriving("eth0", sent.answer())
			back := answer
			back.dst = out.src
			f.run(t, "answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})
			other := f.from("c2", f.remote(), 0, 0)
			other.proto = proto
			f.run(t, "another container", step{prog: f.FromContainer, in: other, ctx: f.at("c2"), verdict: drop,
				hook: atContainer, reason: bpf.VethwayDropReasonDROP_NO_PORT})
		}
	})
}

// What one container may begin in a second, and have (RFC 6888 REQ-4, REQ-5).
func TestQuotas(t *testing.T) {
	for name, s := range map[string]bpf.VethwaySettingsValue{"flows": {MaxFlows: 4}, "rate": {MaxRate: 4}} {
		t.Run(name, func(t *testing.T) {
			eachFamily(t, knobs{}, func(t *testing.T, f family) {
				f.covers(t, "N15")
				f.clear(t)
				defer f.clear(t)
				check(t, f.Settings.Put(uint32(0), s))
				defer func() { check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{})) }()
				begun := func(container string, n int) int {
					before := len(f.flows(t))
					for i := range n {
						_, err := run(f.FromContainer, f.from(container, f.remote(), uint16(7001+i), 80).bytes(), f.at(container))
						check(t, err)
					}
					return (len(f.flows(t)) - before) / 2
				}
				// A new second may begin in between.
				if got := begun("c1", 20); got < 4 || name == "flows" && got != 4 || got > 8 {
					t.Errorf("c1 began %d of 20", got)
				}
				if got := begun("c2", 3); got != 3 {
					t.Errorf("c2 began %d of 3: another container's quota is not its own", got)
				}
			})
		})
	}
}

// anyRemote lets everybody send to the mappings of a container's network, or not.
func (f family) anyRemote(t testing.TB, container string, on bool) {
	t.Helper()
	id := uint32(f.containers[container].network.id)
	var n bpf.VethwayNetworkValue
	check(t, f.Networks.Lookup(id, &n))
	n.Flags &^= uint32(maps.NetworkAnyRemote)
	var s bpf.VethwaySettingsValue
	if on {
		n.Flags |= uint32(maps.NetworkAnyRemote)
		s.Flags = uint32(maps.SettingAnyRemote)
	}
	check(t, f.Networks.Put(id, n))
	check(t, f.Settings.Put(uint32(0), s))
}

// A port that rests lets nothing through and nobody else have it; to whoever had it, it may go back (RFC 6888 REQ-8).
func TestRestingPort(t *testing.T) {
	eachFamily(t, knobs{poolFirst: 7001, poolLast: 7001}, func(t *testing.T, f family) {
		f.covers(t, "N16")
		f.clear(t)
		out := f.from("c1", f.remote(), 7001, 80)
		sent := out
		sent.src = f.host()
		open := step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2}
		f.run(t, "session", open)
		answer := f.arriving("eth0", sent.answer())
		f.collectOne(t, out, true)
		if n := len(f.flows(t)); n != 1 {
			t.Fatalf("%d entries left, want the one that keeps the port", n)
		}
		f.run(t, "from outside", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: next})
		f.run(t, "another container", f.refused("c2", f.from("c2", f.remote(), 7001, 80), bpf.VethwayDropReasonDROP_NO_PORT))
		open.flows = 1
		f.run(t, "whoever had it", open)
	})
}
