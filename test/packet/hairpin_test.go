// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// A container asks for a published port by an address of the host, and is
// seen as it is, unless it asks for its own.
func TestHairpin(t *testing.T) {
	bothWays(t, func(t *testing.T, f family) {
		for _, c := range []struct {
			name, from string
			by, seen   netip.Addr
		}{
			{"neighbour by the host", "c2", f.host(), f.container("c2")},
			{"neighbour by the other uplink", "c2", f.hostAddr("eth1"), f.container("c2")},
			{"neighbour by the gateway", "c2", f.gateway("c2"), f.container("c2")},
			{"other network by the host", "d1", f.host(), f.container("d1")},
			{"other network by its gateway", "d1", f.gateway("d1"), f.container("d1")},
			{"other network by the container's gateway", "d1", f.gateway("c1"), f.container("d1")},
			{"itself by the host", "c1", f.host(), f.gateway("c1")},
			{"itself by the gateway", "c1", f.gateway("c1"), f.gateway("c1")},
			{"no masquerade", "p1", f.host(), f.container("p1")},
			{"no ICC", "q1", f.host(), f.container("q1")},
		} {
			for _, proto := range []byte{tcp, udp} {
				f.clear(t)
				in := f.from(c.from, c.by, 5000, 8080)
				in.proto = proto
				delivered := in
				delivered.src, delivered.dst, delivered.dport = c.seen, f.container("c1"), 80
				delivered = *f.into("c1", delivered)
				f.run(t, c.name, step{prog: f.FromContainer, in: in, ctx: f.at(c.from), verdict: redirect, out: &delivered, flows: 2})
				if got := f.flow(t, in).Way; got != f.containers["c1"].ifindex {
					t.Errorf("%s: by interface %d", c.name, got)
				}
				reply := delivered.answer()
				replied := reply
				replied.src, replied.sport, replied.dst = c.by, 8080, in.src
				f.run(t, c.name+": answer", step{prog: f.FromContainer, in: reply, ctx: f.at("c1"), verdict: redirect, out: f.into(c.from, replied)})
				if got := f.flow(t, reply).Way; got != f.containers[c.from].ifindex {
					t.Errorf("%s: answer: by interface %d", c.name, got)
				}
				in.flags, delivered.flags = ack, ack
				f.run(t, c.name+": again", step{prog: f.FromContainer, in: in, ctx: f.at(c.from), verdict: redirect, out: &delivered})
			}
		}
	})
}

// A container that asks for its own port is seen with a port of the pool, so
// that nobody takes its packets for the host's.
func TestHairpinToItselfChangesThePort(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		in := f.from("c1", f.host(), 50000, 8080)
		r, err := run(f.FromContainer, in.bytes(), f.at("c1"))
		check(t, err)
		port := wire(f.flow(t, in).N_sport)
		if port < poolFirst || port > poolLast {
			t.Errorf("port %d", port)
		}
		delivered := in
		delivered.src, delivered.sport, delivered.dst, delivered.dport = f.gateway("c1"), port, f.container("c1"), 80
		delivered = *f.into("c1", delivered)
		f.compare(t, "in", in.bytes(), step{in: in, verdict: redirect, out: &delivered}, r)
		reply := delivered.answer()
		replied := reply
		replied.src, replied.sport, replied.dst, replied.dport = f.host(), 8080, in.src, 50000
		f.run(t, "answer", step{prog: f.FromContainer, in: reply, ctx: f.at("c1"), verdict: redirect, out: f.into("c1", replied)})
	})
}

// What a container asks of the host that is not published is the host's.
func TestHostService(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.publish(t, published{addr: f.parse("127.0.0.1", "::1").String(), port: 9000, target: "c1", targetPort: 80})
		for _, c := range []struct {
			name string
			in   packet
		}{
			{"by the uplink's address", f.from("c1", f.host(), 5000, 22)},
			{"by the gateway", f.from("c1", f.gateway("c1"), 5000, 53)},
			{"by the other network's gateway", f.from("c1", f.gateway("d1"), 5000, 53)},
			{"ping", f.ping(f.from("c1", f.gateway("c1"), 0, 0), 9)},
			{"published on a loopback address only", f.from("c1", f.host(), 5000, 9000)},
			{"a loopback address", f.from("c1", f.parse("127.0.0.1", "::1"), 5000, 9000)},
			{"a loopback address, port published on any", f.from("c1", f.parse("127.0.0.1", "::1"), 5000, 8080)},
		} {
			f.run(t, c.name, step{prog: f.FromContainer, in: c.in, ctx: f.at("c1"), verdict: next})
		}
		// The host's answer goes past the bridge.
		answer := f.from("c1", f.gateway("c1"), 5000, 53).answer()
		f.run(t, "answer", step{prog: f.ToBridge, in: answer, ctx: f.atBridge("c1", ""), verdict: redirect})
	})
}

// An internal network reaches its gateway and nobody else, and nobody reaches it.
func TestInternal(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		for _, c := range []struct {
			name   string
			in     packet
			from   string
			reason reason
		}{
			{"its gateway", f.from("i1", f.gateway("i1"), 5000, 53), "i1", 0},
			{"its gateway, a port that is published", f.from("i1", f.gateway("i1"), 5000, 8080), "i1", 0},
			{"the host", f.from("i1", f.host(), 5000, 22), "i1", bpf.VethwayDropReasonDROP_INTERNAL},
			{"a published port", f.from("i1", f.host(), 5000, 8080), "i1", bpf.VethwayDropReasonDROP_INTERNAL},
			{"another gateway", f.from("i1", f.gateway("c1"), 5000, 53), "i1", bpf.VethwayDropReasonDROP_INTERNAL},
			{"the outside", f.from("i1", f.remote(), 5000, 80), "i1", bpf.VethwayDropReasonDROP_INTERNAL},
			{"ping of the outside", f.ping(f.from("i1", f.remote(), 0, 0), 5), "i1", bpf.VethwayDropReasonDROP_INTERNAL},
			{"another network", f.from("i1", f.container("c1"), 5000, 80), "i1", bpf.VethwayDropReasonDROP_ISOLATED},
			{"from another network", f.from("c1", f.container("i1"), 5000, 80), "c1", bpf.VethwayDropReasonDROP_ISOLATED},
		} {
			s := step{prog: f.FromContainer, in: c.in, ctx: f.at(c.from), verdict: next}
			if c.reason != 0 {
				s.verdict, s.hook, s.reason = drop, atContainer, c.reason
			}
			f.run(t, c.name, s)
		}
		out := f.from("i1", f.remote(), 5000, 80)
		f.run(t, "by the stack", step{prog: f.ToUplink, in: out, ctx: f.atUplink("eth0"),
			verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_INTERNAL})
	})
}

// Whose address has become another container's meanwhile is sent nothing: the session hangs on the port, which is still there.
func TestHairpinOfWhoIsGone(t *testing.T) {
	bothWays(t, func(t *testing.T, f family) {
		in := f.from("c2", f.host(), 5000, 8080)
		delivered := in
		delivered.dst, delivered.dport = f.container("c1"), 80
		delivered = *f.into("c1", delivered)
		f.run(t, "open", step{prog: f.FromContainer, in: in, ctx: f.at("c2"), verdict: redirect, out: &delivered, flows: 2})
		c2 := f.containers["c2"]
		before := c2.ifindex
		c2.ifindex = f.containers["d1"].ifindex
		f.fillContainer(t, c2)
		f.run(t, "answer", step{
			prog: f.FromContainer, in: delivered.answer(), ctx: f.at("c1"), verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_UNKNOWN_ENDPOINT,
		})
		c2.ifindex = before
		f.fill(t)
	})
}
