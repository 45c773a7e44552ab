// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// variants are packets of one flow whose IP headers differ in all that must be
// left as it is.
func (f family) variants(p packet) map[string]packet {
	with := p.with
	all := map[string]packet{
		"plain":   p,
		"DSCP":    with(func(p *packet) { p.tos = 0xb8 }),
		"ECN":     with(func(p *packet) { p.tos = 0x03 }),
		"TTL 2":   with(func(p *packet) { p.ttl = 2 }),
		"TTL 255": with(func(p *packet) { p.ttl = 255 }),
		"empty":   with(func(p *packet) { p.payload = nil }),
		"odd":     with(func(p *packet) { p.payload = []byte("x") }),
		"padded":  with(func(p *packet) { p.payload, p.padding = nil, 6 }),
	}
	if p.proto == tcp {
		all["TCP options"] = with(func(p *packet) { p.tcpOptions = []byte{2, 4, 5, 180, 1, 1, 1, 0} })
	}
	if f.six {
		options := header{60, []byte{1, 4, 0, 0, 0, 0}}
		all["hop-by-hop options"] = with(func(p *packet) { p.headers = []header{{0, []byte{1, 4, 0, 0, 0, 0}}} })
		all["four headers"] = with(func(p *packet) { p.headers = []header{options, options, options, options} })
		all["a long header"] = with(func(p *packet) { p.headers = []header{{60, append([]byte{1, 20}, make([]byte, 20)...)}} })
	} else {
		all["no fragmenting"] = with(func(p *packet) { p.frag = 0x4000 })
		all["options"] = with(func(p *packet) { p.options = []byte{7, 7, 4, 0, 0, 0, 0, 1} })
		all["all options"] = with(func(p *packet) { p.options = append([]byte{7, 39, 4}, make([]byte, 37)...) })
	}
	return all
}

// Whatever the headers look like, a packet leaves as it came but for what is
// translated, and its TTL is less by one.
func TestHeadersStay(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N19")
		for _, proto := range []byte{tcp, udp, f.icmpProto()} {
			out := f.from("c1", f.remote(), 5000, 80)
			out.proto, out.flags = proto, ack
			if proto == f.icmpProto() {
				out = f.ping(out, 5000)
			}
			sent := out
			sent.src = f.host()
			f.clear(t)
			f.run(t, "first", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
			for name, v := range f.variants(out) {
				w := v
				w.src = f.host()
				f.run(t, "out: "+name, step{prog: f.FromContainer, in: v, ctx: f.at("c1"), verdict: redirect, out: outOf(w)})
			}
			for name, v := range f.variants(f.arriving("eth0", sent.answer())) {
				w := v
				w.dst = out.src
				f.run(t, "in: "+name, step{prog: f.FromUplink, in: v, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", w)})
			}
		}
	})
}

// A UDP checksum of zero means that there is none: in IPv4 it stays so. No
// translation ends in a zero that would mean that.
func TestUDPChecksum(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N19")
		out := f.from("c1", f.remote(), 5000, 80)
		out.proto, out.payload = udp, []byte{0, 0}
		sent := out
		sent.src = f.host()
		s := step{prog: f.FromContainer, ctx: f.at("c1"), verdict: redirect}
		s.in, s.out, s.flows = out, outOf(sent), 2
		f.run(t, "first", s)
		s.flows = 0
		if !f.six {
			without, sentWithout := out, sent
			without.noSum, sentWithout.noSum = true, true
			s.in, s.out = without, outOf(sentWithout)
			f.run(t, "none", s)
		}
		// The payload that makes the checksum of what is sent come out as zero, and those around it.
		b := sent.bytes()
		at := len(b) - 2 - 2
		zero := binary.BigEndian.Uint16(b[at:])
		for _, word := range []uint16{zero - 1, zero, zero + 1} {
			out.payload = binary.BigEndian.AppendUint16(nil, word)
			sent.payload = out.payload
			s.in, s.out = out, outOf(sent)
			r := f.run(t, "near zero", s)
			if binary.BigEndian.Uint16(r.out[at:]) == 0 {
				t.Errorf("the checksum became zero in %x", r.out)
			}
			if word == zero && binary.BigEndian.Uint16(r.out[at:]) != 0xffff {
				t.Errorf("the payload does not lead to zero: % x", r.out)
			}
			back := f.arriving("eth0", sent.answer())
			delivered := back
			delivered.dst = out.src
			f.run(t, "near zero, back", step{prog: f.FromUplink, in: back, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", delivered)})
		}
	})
}

// answered is a packet that has become an ICMP error about itself; info is the
// error's second word.
func (f family) answered(in packet, from netip.Addr, kind, code byte, info uint32) *packet {
	length := 20 + 8
	if in.proto == tcp {
		length += 12
	}
	if f.six {
		length = 1280 - 40 - 8
	}
	e := in.quote(from, kind, code, length)
	e.srcMAC, e.dstMAC = in.dstMAC, in.srcMAC
	binary.BigEndian.PutUint32(e.rest[:], info)
	if !f.six {
		e.tos = 0xc0
	}
	return &e
}

// withOptions gives a packet options, or an extension header with some.
func (f family) withOptions(p packet) packet {
	if f.six {
		p.headers = []header{{60, []byte{1, 4, 0, 0, 0, 0}}}
	} else {
		p.options = []byte{7, 7, 4, 0, 0, 0, 0, 1}
	}
	return p
}

// leaves is a packet that cannot leave. By IPv4 it goes on to the stack, which
// answers; by IPv6 the stack need not, and the program does.
func (f family) leaves(in packet, ctx skBuff, kind, code byte, info uint32, why reason) step {
	s := step{prog: f.FromContainer, in: in, ctx: ctx, verdict: next}
	if f.six {
		s.verdict, s.told, s.hook, s.reason = redirect, true, atContainer, why
		s.out = f.answered(in, f.gateway("c1"), kind, code, info)
	}
	return s
}

// A packet whose TTL runs out on its way out goes on to the stack, which
// answers. Where the stack would not, or not know what to quote, the program answers.
func TestTTLRunsOut(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N19")
		out := f.from("c1", f.remote(), 5000, 80)
		sent := out
		sent.src = f.host()
		exceeded := either[byte](f.six, 11, 3)
		last := out
		last.ttl = 1
		f.run(t, "no flow yet", f.leaves(last, f.at("c1"), exceeded, 0, 0, bpf.VethwayDropReasonDROP_TTL))
		f.run(t, "first", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		for _, ttl := range []byte{0, 1} {
			last.ttl = ttl
			f.run(t, "out", f.leaves(last, f.at("c1"), exceeded, 0, 0, bpf.VethwayDropReasonDROP_TTL))
			in := f.arriving("eth0", sent.answer())
			in.ttl = ttl
			f.run(t, "in", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: redirect,
				out: f.answered(in, f.host(), exceeded, 0, 0), told: true, hook: atUplink, reason: bpf.VethwayDropReasonDROP_TTL})
		}
		// With options the sender has to find out by itself; extension headers are quoted.
		in := f.withOptions(f.arriving("eth0", sent.answer()))
		in.ttl = 1
		s := step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: drop, hook: atUplink, reason: bpf.VethwayDropReasonDROP_TTL}
		if f.six {
			s.verdict, s.told, s.out = redirect, true, f.answered(in, f.host(), exceeded, 0, 0)
		}
		f.run(t, "in, with options", s)
		hairpin := f.from("c2", f.host(), 5000, 8080)
		delivered := hairpin
		delivered.dst, delivered.dport = f.container("c1"), 80
		f.run(t, "hairpin", step{prog: f.FromContainer, in: hairpin, ctx: f.at("c2"), verdict: redirect, out: f.into("c1", delivered), flows: 2})
		hairpin.ttl = 1
		f.run(t, "hairpin: the last", step{prog: f.FromContainer, in: hairpin, ctx: f.at("c2"),
			verdict: redirect, out: f.answered(hairpin, f.gateway("c2"), exceeded, 0, 0), told: true,
			hook: atContainer, reason: bpf.VethwayDropReasonDROP_TTL})
	})
}

// So it is with a packet that is too big for the next link, but what may be cut
// up: the stack does it. What will be cut into segments is judged by their size.
func TestTooBig(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		overhead := either(f.six, 40, 60)
		out := f.from("c1", f.remote(), 5000, 80)
		sent := out
		sent.src = f.host()
		f.run(t, "first", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		in := f.arriving("eth0", sent.answer())
		for _, c := range []struct {
			name    string
			payload int
			gso     int
			fits    bool
		}{
			{"just fits", 1500 - overhead, 0, true},
			{"one too many", 1501 - overhead, 0, false},
			{"segments just fit", 3000, 1500 - overhead, true},
			{"segments one too large", 3000, 1501 - overhead, false},
			{"big, segments just fit", 3000, 1500 - overhead, true},
			{"big, segments one too large", 3000, 1501 - overhead, false},
		} {
			o, s, i := out, sent, in
			o.flags, s.flags, i.flags = ack, ack, ack
			o.payload = make([]byte, c.payload)
			s.payload, i.payload = o.payload, o.payload
			for _, p := range []*packet{&o, &s, &i} {
				if p.big = strings.HasPrefix(c.name, "big"); p.big && f.six {
					p.headers = []header{jumbo(20 + c.payload)}
				}
			}
			d := i
			d.dst = out.src
			gso := func(ctx skBuff) skBuff {
				if c.gso > 0 {
					ctx.GSOSize, ctx.GSOSegs = uint32(c.gso), uint32((c.payload+c.gso-1)/c.gso)
				}
				return ctx
			}
			if c.fits {
				f.run(t, "out: "+c.name, step{prog: f.FromContainer, in: o, ctx: gso(f.at("c1")), verdict: redirect, out: outOf(s)})
				f.run(t, "in: "+c.name, step{prog: f.FromUplink, in: i, ctx: gso(f.atUplink("eth0")), verdict: redirect, out: f.into("c1", d)})
			} else {
				kind, code := byte(3), byte(4)
				if f.six {
					kind, code = 2, 0
				}
				r := f.run(t, "out: "+c.name, f.leaves(o, gso(f.at("c1")), kind, code, 1500, bpf.VethwayDropReasonDROP_TOO_BIG))
				if f.six && r.ctx.GSOSegs != 0 {
					t.Errorf("%s: the answer is to be cut into %d segments", c.name, r.ctx.GSOSegs)
				}
				if !f.six {
					f.run(t, "in: "+c.name, step{prog: f.FromUplink, in: i, ctx: gso(f.atUplink("eth0")), verdict: next, out: &d})
					i.frag = 0x4000 // DF
				}
				f.run(t, "in: "+c.name, step{prog: f.FromUplink, in: i, ctx: gso(f.atUplink("eth0")), verdict: redirect,
					out: f.answered(i, f.host(), kind, code, 1500), told: true, hook: atUplink, reason: bpf.VethwayDropReasonDROP_TOO_BIG})
			}
		}
	})
}

// jumbo is the hop-by-hop header that the kernel gives IPv6 packets beyond 64 KiB (RFC 2675 section 2), and takes away when it cuts
// them up.
func jumbo(length int) header {
	return header{proto: 0, body: binary.BigEndian.AppendUint32([]byte{0xc2, 4}, uint32(length+8))}
}

// A packet that is segmented later is translated as its segments would be: the
// same bytes of the headers change in the same way.
func TestGSO(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N20")
		const size, segments = 600, 5
		payload := make([]byte, size*segments)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		for _, proto := range []byte{tcp, udp} {
			f.clear(t)
			in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
			in.proto = proto
			s := f.publishedSession(t, in, "c1", 80)
			out := f.from("c1", f.remote(), 5000, 443)
			out.proto = proto
			sent := out
			sent.src = f.host()
			f.run(t, "first", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
			answer := f.arriving("eth0", sent.answer())
			back := answer
			back.dst = out.src
			for _, c := range []struct {
				name     string
				prog     step
				from, to packet
			}{
				{"published", step{prog: f.FromUplink, ctx: f.atUplink("eth0")}, s.in, s.delivered},
				{"published, answer", step{prog: f.FromContainer, ctx: f.at("c1")}, s.reply, s.replied},
				{"masquerade", step{prog: f.FromContainer, ctx: f.at("c1")}, out, *outOf(sent)},
				{"masquerade, answer", step{prog: f.FromUplink, ctx: f.atUplink("eth0")}, answer, *f.into("c1", back)},
			} {
				if proto == tcp {
					c.from.flags, c.to.flags = ack, ack
				}
				step := c.prog
				step.verdict = redirect
				for i := range segments {
					c.from.payload = payload[i*size : (i+1)*size]
					c.to.payload = c.from.payload
					step.in, step.out = c.from, &c.to
					f.run(t, c.name+": a segment", step)
				}
				c.from.payload, c.to.payload = payload, payload
				step.in, step.out = c.from, &c.to
				step.ctx.GSOSize, step.ctx.GSOSegs = size, segments
				r := f.run(t, c.name+": the whole", step)
				if r.ctx.GSOSize != size || r.ctx.GSOSegs != segments {
					t.Errorf("%s: %d segments of %d bytes", c.name, r.ctx.GSOSegs, r.ctx.GSOSize)
				}
			}
		}
	})
}
