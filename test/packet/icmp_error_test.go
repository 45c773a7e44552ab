// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// errorCase is an ICMP error: what is quoted, as who complains has got it and
// as its sender sent it.
type errorCase struct {
	name           string
	by, to         string // containers; empty: the outside
	from, becomes  netip.Addr
	quoted, origin packet
}

// errors are what can be said about a conversation, from both of its ends and
// from a router between.
func (f family) errors(c conversation) []errorCase {
	all := []errorCase{
		{c.name + ", asked", c.to, c.from, c.delivered.dst, c.asked.dst, c.delivered, c.asked},
		{c.name + ", answer", c.from, c.to, c.answered.dst, c.answer.dst, c.answered, c.answer},
	}
	router := f.parse("203.0.113.254", "2001:db8:9::fe")
	if c.to == "" {
		all = append(all, errorCase{c.name + ", asked, router", "", c.from, router, router, c.delivered, c.asked})
	}
	if c.from == "" {
		all = append(all, errorCase{c.name + ", answer, router", "", c.to, router, router, c.answered, c.answer})
	}
	return all
}

// An ICMP error is translated back together with the packet that it quotes,
// and changes nothing in the flow table.
func TestICMPError(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N13", "N08")
		for _, proto := range []byte{tcp, udp, f.icmpProto()} {
			f.clear(t)
			for _, c := range f.conversations(t, proto) {
				for _, e := range f.errors(c) {
					for name, shape := range f.quoteShapes(proto) {
						f.sendError(t, e.name+", "+name, e, shape)
					}
				}
			}
		}
	})
}

// shape says how an error quotes: change is what it does to the quoted packet,
// frame to the error itself.
type shape struct {
	change func(*packet)
	frame  func(*packet)
	length int // of the quotation; 0: whole
}

func (f family) quoteShapes(proto byte) map[string]shape {
	ip := either(f.six, 20, 40)
	shapes := map[string]shape{
		"whole":           {},
		"eight bytes":     {length: ip + 8},
		"long":            {change: func(p *packet) { p.payload = make([]byte, 400) }},
		"cut":             {change: func(p *packet) { p.payload = make([]byte, 400) }, length: 128},
		"extension":       {change: func(p *packet) { p.payload = make([]byte, 400) }, length: 128, frame: f.extend},
		"too big":         {frame: f.tooBig},
		"next to nothing": {change: func(p *packet) { p.payload = nil }},
	}
	if proto == tcp {
		shapes["sixteen bytes"] = shape{length: ip + 16}
	}
	if f.six {
		return shapes
	}
	shapes["quoted options"] = shape{change: func(p *packet) { p.options = []byte{7, 7, 4, 0, 0, 0, 0, 1} }, length: ip + 8 + 8}
	shapes["options"] = shape{frame: func(p *packet) { p.options = append([]byte{7, 39, 4}, make([]byte, 37)...) }}
	shapes["options twice"] = shape{
		change: func(p *packet) { p.options = append([]byte{7, 39, 4}, make([]byte, 37)...) },
		frame:  func(p *packet) { p.options = append([]byte{7, 39, 4}, make([]byte, 37)...) },
	}
	shapes["first fragment"] = shape{change: func(p *packet) { p.frag = 0x2000 }, length: ip + 8}
	if proto == udp {
		shapes["no checksum"] = shape{change: func(p *packet) { p.noSum = true }}
	}
	return shapes
}

// extend adds an MPLS extension behind 128 bytes of quotation (RFC 4884).
func (f family) extend(p *packet) {
	ext := []byte{0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x21, 0xff}
	check := checksum(ext)
	ext[2], ext[3] = byte(check>>8), byte(check)
	p.payload = slices.Concat(p.payload, ext)
	if f.six {
		p.rest[0] = 128 / 8
	} else {
		p.rest[1] = 128 / 4
	}
}

func (f family) tooBig(p *packet) {
	p.kind, p.code, p.rest = 3, 4, [4]byte{0, 0, 5, 0}
	if f.six {
		p.kind, p.code = 2, 0
	}
}

// buildError makes an error as it arrives, and as its receiver should see it.
func (f family) buildError(e errorCase, s shape) (in, out packet) {
	build := func(quoted packet, from netip.Addr) packet {
		if s.change != nil {
			s.change(&quoted)
		}
		kind, code := byte(11), byte(0)
		if f.six {
			kind = 3
		}
		p := quoted.quote(from, kind, code, s.length)
		if s.frame != nil {
			s.frame(&p)
		}
		return p
	}
	e.origin.ttl = e.quoted.ttl
	in, out = build(e.quoted, e.from), build(e.origin, e.becomes)
	in = f.arriving("eth0", in)
	if e.by != "" {
		in.srcMAC, in.dstMAC = f.containers[e.by].mac, f.containers[e.by].network.mac
	}
	out.srcMAC, out.dstMAC = in.srcMAC, in.dstMAC
	return in, out
}

func (f family) sendError(t *testing.T, name string, e errorCase, s shape) {
	t.Helper()
	in, out := f.buildError(e, s)
	st := step{prog: f.FromUplink, ctx: f.atUplink("eth0"), verdict: redirect}
	if e.by != "" {
		st.prog, st.ctx = f.FromContainer, f.at(e.by)
	}
	st.in, st.out = in, outOf(out)
	if e.to != "" {
		st.out = f.into(e.to, out)
	}
	before := f.flows(t)
	f.run(t, name, st)
	if !maps.Equal(before, f.flows(t)) {
		t.Errorf("%s: the flow table has changed", name)
	}
}

// The host's own complaint about what it was to bring into a container speaks
// of what the sender sent. About anything else it says nothing private.
func TestICMPErrorOfTheHost(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N13", "N21")
		s := f.publishedSession(t, f.inbound("eth0", f.remote(), f.host(), 40000, 8080), "c1", 80)
		kind := either[byte](f.six, 11, 3)
		s.delivered.ttl, s.in.ttl = 1, 1
		e, want := s.delivered.quote(f.host(), kind, 0, 0), s.in.quote(f.host(), kind, 0, 0)
		f.run(t, "about a flow", step{prog: f.ToUplink, in: e, ctx: f.atUplink("eth0"), verdict: next, out: &want})
		e = s.delivered.quote(f.gateway("c1"), kind, 0, 0)
		f.run(t, "about a flow, from the gateway", step{prog: f.ToUplink, in: e, ctx: f.atUplink("eth0"),
			verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_LEAK})
		about := f.inbound("eth0", f.remote(), f.host(), 40000, 9999)
		e = about.quote(f.host(), kind, 0, 0)
		f.run(t, "about the host", step{prog: f.ToUplink, in: e, ctx: f.atUplink("eth0"), verdict: next})
		for _, from := range []netip.Addr{f.gateway("c1"), f.container("c1")} {
			e = about.quote(from, kind, 0, 0)
			f.run(t, "from "+from.String(), step{prog: f.ToUplink, in: e, ctx: f.atUplink("eth0"),
				verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_LEAK})
		}
	})
}

// An ICMP error about no flow of ours is the stack's, and gets no further than
// to the host.
func TestICMPErrorAboutNothing(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D09")
		kind := either[byte](f.six, 3, 1)
		hosts := f.from("c1", f.remote(), 5000, 80)
		hosts.src = f.host()
		e := f.arriving("eth0", hosts.quote(f.remote(), kind, 0, 0))
		f.run(t, "about the host's", step{prog: f.FromUplink, in: e, ctx: f.atUplink("eth0"), verdict: next})
		private := f.from("c1", f.remote(), 5000, 80)
		e = f.arriving("eth0", private.quote(f.remote(), kind, 0, 0))
		f.run(t, "routed on", step{prog: f.ToBridge, in: e, ctx: f.atBridge("c1", "eth0"),
			verdict: drop, hook: toBridge, reason: bpf.VethwayDropReasonDROP_DIRECT})
		neighbours := f.from("c2", f.container("c1"), 5000, 80)
		e = neighbours.quote(f.container("c1"), kind, 3, 0)
		e.srcMAC, e.dstMAC = f.containers["c1"].mac, f.containers["c2"].mac
		f.run(t, "to a neighbour", step{prog: f.FromContainer, in: e, ctx: f.at("c1"), verdict: redirect, out: &e})
		others := f.from("d1", f.container("c1"), 5000, 80)
		e = others.quote(f.container("c1"), kind, 3, 0)
		e.srcMAC, e.dstMAC = f.containers["c1"].mac, f.containers["c1"].network.mac
		f.run(t, "to another network", step{prog: f.FromContainer, in: e, ctx: f.at("c1"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_ISOLATED})
	})
}
