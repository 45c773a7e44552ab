// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/test/behaviour"
)

const (
	ttlUsedUp = bpf.VethwayDropReasonDROP_TTL
	tooBig    = bpf.VethwayDropReasonDROP_TOO_BIG
)

// sixOnly runs f for IPv6.
func sixOnly(t *testing.T, f func(t *testing.T, w family)) {
	t.Helper()
	inLab(t, behaviour.IPv6, func(t *testing.T, l *lab) {
		f(t, family{world: newWorld(t, l, knobs{}), name: behaviour.IPv6, six: true})
	})
}

// refuses is what comes of a container's packet that its gateway answers.
func (f family) refuses(name string, in packet, why reason) step {
	kind, info := byte(3), uint32(0)
	if why == tooBig {
		kind, info = 2, 1500
	}
	return step{prog: f.FromContainer, in: in, ctx: f.at(name), verdict: redirect, told: true, hook: atContainer, reason: why,
		out: f.answered(in, f.gateway(name), kind, 0, info)}
}

// Whatever a container cannot send out by IPv6 is quoted as it made it, as far as the least MTU goes, whether it would begin a session or
// belongs to one.
func TestAnswersQuote(t *testing.T) {
	sixOnly(t, func(t *testing.T, f family) {
		f.covers(t, "N09", "N19")
		base := f.from("c1", f.remote(), 5000, 80)
		asUDP, esp := base, base
		asUDP.proto, esp.proto = udp, 50
		options := f.withOptions(asUDP)
		for name, p := range map[string]packet{"tcp": base, "udp": asUDP, "ping": f.ping(base, 5000), "esp": esp, "with options": options} {
			f.clear(t)
			for _, session := range []bool{false, true} {
				if session {
					p.payload = make([]byte, 64)
					check(t, f.begins(p))
				}
				for size := range 80 {
					p.payload, p.ttl = bytesUpTo(size), 1
					f.run(t, fmt.Sprintf("%s, %d bytes, session %t", name, size, session), f.refuses("c1", p, ttlUsedUp))
					f.forgetAnswers(t)
				}
				for size := range 20 {
					p.payload, p.ttl = bytesUpTo(1500+size), 64
					f.run(t, fmt.Sprintf("%s, %d bytes, session %t", name, 1500+size, session), f.refuses("c1", p, tooBig))
				}
				f.forgetAnswers(t)
			}
		}
	})
}

// begins sends a packet that a session begins with.
func (f family) begins(p packet) error {
	r, err := run(f.FromContainer, p.bytes(), f.at("c1"))
	if err == nil && r.verdict != redirect {
		err = fmt.Errorf("verdict %s, want a session", verdictName(r.verdict))
	}
	return err
}

func bytesUpTo(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + 1)
	}
	return b
}

// forgetAnswers lets everybody be told again.
func (w *world) forgetAnswers(t testing.TB) {
	t.Helper()
	none := make([]bpf.VethwayAnswersValue, ebpf.MustPossibleCPU())
	for i := range w.Answers.MaxEntries() {
		check(t, w.Answers.Put(i, none))
	}
}

// Fragments are answered, each: the kernel that is told of a smaller MTU cuts the datagram up anew.
func TestAnswersToFragments(t *testing.T) {
	sixOnly(t, func(t *testing.T, f family) {
		f.covers(t, "N09")
		out := f.from("c1", f.remote(), 5000, 80)
		out.proto, out.payload = udp, bytesUpTo(4000)
		answered := func(name string, frame []byte) {
			t.Helper()
			e := packet{srcMAC: out.dstMAC, dstMAC: out.srcMAC, src: f.gateway("c1"), dst: out.src, ttl: 64, proto: icm6, kind: 2, payload: frame[ethLen : ethLen+1232]}
			e.rest = [4]byte{2: 1500 >> 8, 3: 1500 & 0xff}
			f.run(t, name, step{prog: f.FromContainer, raw: frame, ctx: f.at("c1"), verdict: redirect, rawOut: e.bytes(), told: true, hook: atContainer, reason: tooBig})
		}
		frames := split(out, 1600, 7)
		answered("the first, no session yet", frames[0])
		out.payload = bytesUpTo(40)
		check(t, f.begins(out))
		out.payload = bytesUpTo(4000)
		frames = split(out, 1600, 8)
		for i, frame := range frames[:2] {
			answered(fmt.Sprintf("fragment %d", i), frame)
		}
	})
}

// An asker is told a hundred times in a second, on one CPU; which second it is, nobody knows. Another one does not suffer from it.
func TestAnswersAreLimited(t *testing.T) {
	sixOnly(t, func(t *testing.T, f family) {
		f.forgetAnswers(t)
		out := f.from("c1", f.remote(), 5000, 80)
		out.ttl = 1
		told := 0
		const asked = 1000
		for range asked {
			r, err := run(f.FromContainer, out.bytes(), f.at("c1"))
			check(t, err)
			if r.verdict == redirect {
				told++
			}
		}
		if most := 100 * 2 * ebpf.MustPossibleCPU(); told < 100 || told > most || told == asked {
			t.Errorf("told %d times, want 100 to %d", told, most)
		}
		out = f.from("c2", f.remote(), 5000, 80)
		out.ttl = 1
		f.run(t, "another container", f.refuses("c2", out, ttlUsedUp))
		f.forgetAnswers(t)
	})
}
