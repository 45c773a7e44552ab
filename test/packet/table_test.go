// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// A full table refuses what is new, counts it, and keeps what it has.
func TestFullTable(t *testing.T) {
	for _, size := range []uint32{16, 17} {
		eachFamily(t, knobs{flows: size}, func(t *testing.T, f family) {
			f.covers(t, "N07", "N21", "R04")
			steps := make([]step, 8)
			for i := range steps {
				out := f.from("c1", f.remote(), uint16(5000+i), 80)
				out.proto = udp
				sent := out
				sent.src = f.host()
				steps[i] = step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2}
				f.run(t, "filling", steps[i])
				steps[i].flows = 0
			}
			full := bpf.VethwayDropReasonDROP_TABLE_FULL
			for range 3 {
				f.run(t, "a new flow", f.refused("c2", f.from("c2", f.remote(), 6000, 80), full))
				f.run(t, "a new flow, hairpin", f.refused("c2", f.from("c2", f.host(), 6000, 8080), full))
				f.run(t, "a new flow, without masquerade", f.refused("p1", f.from("p1", f.remote(), 6000, 80), full))
				f.run(t, "a new flow from outside", step{prog: f.FromUplink, in: f.inbound("eth0", f.remote(), f.host(), 6000, 8080), ctx: f.atUplink("eth0"),
					verdict: drop, hook: atUplink, reason: full})
				f.run(t, "a new flow by the stack", step{prog: f.ToUplink, in: f.from("c2", f.remote(), 6001, 80), ctx: f.forwarded("eth0", "c2"),
					verdict: drop, hook: toUplink, reason: full})
				ping := f.ping(packet{src: f.host(), dst: f.remote(), ttl: 64}, 5000)
				f.run(t, "the host's own", step{prog: f.ToUplink, in: ping, ctx: f.atUplink("eth0"), verdict: next})
			}
			for _, s := range steps {
				f.run(t, "a live flow", s)
				sent := *s.out
				answer := f.arriving("eth0", sent.answer())
				back := answer
				back.dst = s.in.src
				f.run(t, "a live flow, answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})
			}
		})
	}
}

// refused is a packet of a container that gets nothing, and is told so (RFC 5508 REQ-8).
func (f family) refused(container string, in packet, why reason) step {
	told := f.answered(in, f.gateway(container), either[byte](f.six, 3, 1), either[byte](f.six, 13, 1), 0)
	return step{prog: f.FromContainer, in: in, ctx: f.at(container), verdict: redirect, out: told, told: true, hook: atContainer, reason: why}
}

// A container is told of ten refusals in a second; the rest is dropped in silence. Which second it is, nobody knows.
func TestRefusalsAreLimited(t *testing.T) {
	eachFamily(t, knobs{poolFirst: 2000, poolLast: 2000}, func(t *testing.T, f family) {
		for _, proto := range []byte{tcp, udp, f.icmpProto()} {
			out := f.from("c1", f.remote(), 30000, 80)
			out.proto = proto
			if proto == f.icmpProto() {
				out = f.ping(out, 30000)
			}
			f.usePort(t, proto, 2000, portHost)
			told := 0
			for range 40 {
				r, err := run(f.FromContainer, out.bytes(), f.at("c1"))
				check(t, err)
				switch r.verdict {
				case redirect:
					told++
					want := f.refused("c1", out, bpf.VethwayDropReasonDROP_NO_PORT).out.bytes()
					if !bytes.Equal(r.out, want) {
						t.Fatalf("told %x, want %x", r.out, want)
					}
				case drop:
				default:
					t.Fatalf("verdict %s", verdictName(r.verdict))
				}
			}
			if told < 10 || told > 20 {
				t.Errorf("protocol %d: told of %d refusals, want 10 for each of at most two seconds", proto, told)
			}
			f.clear(t)
		}
	})
}

// No port left: dropped, counted and told.
func TestPoolExhausted(t *testing.T) {
	eachFamily(t, knobs{poolFirst: 2000, poolLast: 2007}, func(t *testing.T, f family) {
		f.covers(t, "N21")
		f.usePort(t, tcp, 2003, portPublished)
		out := f.from("c1", f.remote(), 0, 80)
		got := map[uint16]bool{}
		for i := range 7 {
			out.sport = uint16(30000 + i)
			for range 50 { // a stride may miss the last free port of so small a pool
				r, err := run(f.FromContainer, out.bytes(), f.at("c1"))
				check(t, err)
				if r.verdict == redirect {
					break
				}
			}
			got[wire(f.flow(t, out).N_sport)] = true
		}
		if len(got) != 7 || got[2003] {
			t.Errorf("given: %v", got)
		}
		out.sport = 31000
		f.run(t, "one more", f.refused("c1", out, bpf.VethwayDropReasonDROP_NO_PORT))
		// To another destination the same ports are free.
		out.dst = f.parse("192.0.2.4", "2001:db8:2::4")
		r, err := run(f.FromContainer, out.bytes(), f.at("c1"))
		check(t, err)
		if r.verdict != redirect {
			t.Errorf("another destination: %s", verdictName(r.verdict))
		}
	})
}

// vw_gc deletes a session unless either side was seen since the scan.
func TestCollect(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		out := f.from("c1", f.remote(), 5000, 80)
		sent := out
		sent.src = f.host()
		open := step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2}
		answer := f.arriving("eth0", sent.answer())
		const old = 10 // no more than a machine that has just started can have seen
		for _, c := range []struct {
			name             string
			age              uint32 // seconds since either side was seen
			seen, reverse    int32  // what the scan saw, less than what the entries say now
			noFlow, noAnswer bool
			deleted          uint32
			left             int
		}{
			{"idle", old, 0, 0, false, false, 1, 0},
			{"idle, but just seen", 0, 0, 0, false, false, 1, 0},
			{"seen since", old, -1, 0, false, false, 0, 2},
			{"answered since", old, 0, -1, false, false, 0, 2},
			{"an orphan", old, 0, 0, false, true, 1, 0},
			{"an orphan answer", old, 0, 0, true, false, 1, 0},
			{"an orphan seen since", old, -1, 0, false, true, 0, 1},
			{"half a session that is being made", 0, 0, 0, true, false, 0, 1},
			{"gone already", old, 0, 0, true, true, 1, 0},
		} {
			f.clear(t)
			f.run(t, "open", open)
			f.age(t, out, c.age)
			f.age(t, answer, c.age)
			args := bpf.VethwayGcArgs{Key: key(out), Reverse: key(answer),
				Seen: f.flow(t, out).Seen + uint32(c.seen), ReverseSeen: f.flow(t, answer).Seen + uint32(c.reverse)}
			if c.noFlow {
				check(t, f.Flows.Delete(key(out)))
			}
			if c.noAnswer {
				check(t, f.Flows.Delete(key(answer)))
			}
			got, err := f.GC.Run(&ebpf.RunOptions{Context: args})
			check(t, err)
			if got != c.deleted || len(f.flows(t)) != c.left {
				t.Errorf("%s: returned %d, %d entries left, want %d and %d", c.name, got, len(f.flows(t)), c.deleted, c.left)
			}
		}
	})
}

// What is left of a stale session does not take the session with it that has
// got its reply tuple since.
func TestCollectAfterTakeover(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N02")
		first, second := f.from("c1", f.remote(), 5000, 80), f.from("c2", f.remote(), 5000, 80)
		sent := first
		sent.src = f.host()
		f.run(t, "first", step{prog: f.FromContainer, in: first, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		f.setGeneration(t, f.containers["c1"].slot, generation+1)
		sent.srcMAC = second.srcMAC
		f.run(t, "second", step{prog: f.FromContainer, in: second, ctx: f.at("c2"), verdict: redirect, out: outOf(sent), flows: 1})
		answer := sent.answer()
		args := bpf.VethwayGcArgs{Key: key(first), Reverse: key(answer), Seen: f.flow(t, first).Seen, ReverseSeen: f.flow(t, answer).Seen}
		_, err := f.GC.Run(&ebpf.RunOptions{Context: args})
		check(t, err)
		if len(f.flows(t)) != 2 {
			t.Errorf("left\n%s", f.describe(t))
		}
		back := f.arriving("eth0", answer)
		back.dst = second.src
		f.run(t, "answer", step{prog: f.FromUplink, in: f.arriving("eth0", answer), ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c2", back)})
	})
}

// age makes a flow look as if it was last seen so many seconds ago.
func (f family) age(t *testing.T, p packet, seconds uint32) {
	t.Helper()
	v := f.flow(t, p)
	v.Seen -= seconds
	check(t, f.Flows.Put(key(p), v))
}
