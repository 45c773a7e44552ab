// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// SCTP is translated by address alone: its CRC32c covers the ports, and stays as
// it is when they do.
func TestSCTP(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D10", "D16", "N19")
		f.publishSCTP(t)
		for _, c := range f.conversations(t, sctp) {
			for _, p := range [][2]packet{{c.asked, c.delivered}, {c.answer, c.answered}} {
				if in, out := p[0].bytes(), p[1].bytes(); !bytes.Equal(in[len(in)-17:], out[len(out)-17:]) {
					t.Errorf("%s: header or data change from %x to %x", c.name, in, out)
				}
			}
			for _, e := range f.errors(c) {
				for name, s := range map[string]shape{"whole": {}, "eight bytes": {length: either(f.six, 28, 48)}, "too big": {frame: f.tooBig}} {
					f.sendError(t, c.name+", "+e.name+", "+name, e, s)
				}
			}
		}
	})
}

// A port that is taken is no other's: there is no second choice.
func TestSCTPCollisions(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N02", "N21")
		first, second := f.from("c1", f.remote(), 5000, 443), f.from("c2", f.remote(), 5000, 443)
		first.proto, second.proto = sctp, sctp
		sent := first
		sent.src = f.host()
		f.run(t, "the first", step{prog: f.FromContainer, in: first, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		f.run(t, "another's", f.refused("c2", second, bpf.VethwayDropReasonDROP_NO_PORT))
		withOptions := step{prog: f.FromContainer, in: f.withOptions(second), ctx: f.at("c2"), verdict: drop,
			hook: atContainer, reason: bpf.VethwayDropReasonDROP_NO_PORT}
		if f.six {
			withOptions = f.refused("c2", f.withOptions(second), bpf.VethwayDropReasonDROP_NO_PORT)
		}
		f.run(t, "another's, with options", withOptions)
		second.dst = f.parse("192.0.2.4", "2001:db8:2::4")
		sent = second
		sent.src = f.host()
		f.run(t, "to another peer", step{prog: f.FromContainer, in: second, ctx: f.at("c2"), verdict: redirect, out: outOf(sent), flows: 2})

		// Published as another port, its checksum would have to be made anew.
		slot := f.publish(t, published{port: 9900, target: "c1", targetPort: sctpPort})
		f.publishSCTP(t)
		any := f.parse("0.0.0.0", "::")
		check(t, f.Published.Put(bpf.VethwayPublishedKey{Addr: toAddr(any), Port: wire(9900), Proto: sctp},
			bpf.VethwayPublishedValue{Target: toAddr(f.container("c1")), Port: wire(sctpPort), Slot: slot, Generation: generation}))
		f.usePort(t, sctp, 9900, portPublished)
		in := f.inbound("eth0", f.remote(), f.host(), 40000, 9900)
		in.proto = sctp
		f.run(t, "published as another port", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"),
			verdict: drop, hook: atUplink, reason: bpf.VethwayDropReasonDROP_PROTOCOL})
		hairpin := f.from("c2", f.host(), 40000, 9900)
		hairpin.proto = sctp
		f.run(t, "published as another port, from a container", step{prog: f.FromContainer, in: hairpin, ctx: f.at("c2"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_PROTOCOL})
	})
}

// A container that asks for its own port keeps the one it asks from, though the pool has not got it.
func TestSCTPHairpinKeepsThePort(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D04", "D16")
		f.publishSCTP(t)
		in := f.from("c1", f.host(), 50000, sctpPort)
		in.proto = sctp
		delivered := in
		delivered.src, delivered.dst = f.gateway("c1"), f.container("c1")
		delivered = *f.into("c1", delivered)
		f.run(t, "in", step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: redirect, out: &delivered, flows: 2})
		reply := delivered.answer()
		replied := reply
		replied.src, replied.dst = f.host(), in.src
		f.run(t, "answer", step{prog: f.FromContainer, in: reply, ctx: f.at("c1"), verdict: redirect, out: f.into("c1", replied)})
	})
}

// Out of state, SCTP begins a session with anything: what it means is for its
// ends to say. Cut off, it goes nowhere.
func TestSCTPMalformed(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "R08", "N21")
		out := f.from("c1", f.remote(), 5000, 443)
		out.proto, out.payload = sctp, nil
		whole := out.bytes()
		b := append([]byte(nil), whole[:len(whole)-1]...)
		f.run(t, "cut off", step{prog: f.FromContainer, raw: b, ctx: f.at("c1"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_MALFORMED})
		f.run(t, "cut off, by the stack", step{prog: f.ToUplink, raw: b, ctx: f.forwarded("eth0", "c1"),
			verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_MALFORMED})
	})
}
