// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// What cannot begin a flow leaves with nobody's address: it is dropped.
func TestOutOfState(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N21")
		base := f.from("c1", f.remote(), 5000, 80)
		with := base.with
		fragment := func(offset uint16, more bool) packet {
			return f.fragment(with(func(p *packet) { p.proto, p.payload = udp, make([]byte, 64) }), offset, more)
		}
		answer := f.ping(base, 5)
		answer.kind = either[byte](f.six, 0, 129)
		answer.sport, answer.dport = 0, 5
		timestamp := f.ping(base, 0)
		timestamp.kind = either[byte](f.six, 13, 139)
		for _, c := range []struct {
			name   string
			in     packet
			reason reason
		}{
			{"RST", with(func(p *packet) { p.flags = rst }), bpf.VethwayDropReasonDROP_NO_FLOW},
			{"RST and ACK", with(func(p *packet) { p.flags = rst | ack }), bpf.VethwayDropReasonDROP_NO_FLOW},
			{"FIN", with(func(p *packet) { p.flags = fin | ack }), bpf.VethwayDropReasonDROP_NO_FLOW},
			{"SYN and FIN", with(func(p *packet) { p.flags = syn | fin }), bpf.VethwayDropReasonDROP_NO_FLOW},
			{"all flags", with(func(p *packet) { p.flags = 0xff }), bpf.VethwayDropReasonDROP_NO_FLOW},
			{"answer to a ping", answer, bpf.VethwayDropReasonDROP_NO_FLOW},
			{"ICMP error about nothing", f.errorFrom("c1", f.container("c1")), bpf.VethwayDropReasonDROP_NO_FLOW},
			{"other ICMP", timestamp, bpf.VethwayDropReasonDROP_PROTOCOL},
			{"AH", with(func(p *packet) { p.proto = 51 }), bpf.VethwayDropReasonDROP_PROTOCOL},
			{"an unknown protocol", with(func(p *packet) { p.proto = 253 }), bpf.VethwayDropReasonDROP_PROTOCOL},
			{"ICMP of the other family", with(func(p *packet) { p.proto = either[byte](f.six, icm6, icmp) }), bpf.VethwayDropReasonDROP_PROTOCOL},
			{"fragment of what nobody has seen the beginning of", fragment(64, false), bpf.VethwayDropReasonDROP_FRAGMENT},
		} {
			f.run(t, c.name, step{prog: f.FromContainer, in: c.in, ctx: f.at("c1"), verdict: drop, hook: atContainer, reason: c.reason})
			// If it came through the stack after all, the guard at the uplink sees to it.
			f.run(t, c.name+" by the stack", step{prog: f.ToUplink, in: c.in, ctx: f.forwarded("eth0", "c1"), verdict: drop, hook: toUplink,
				reason: guardReason(c.reason)})
		}
		f.run(t, "ACK: a session from before", step{prog: f.FromContainer, in: with(func(p *packet) { p.flags = ack }), ctx: f.at("c1"),
			verdict: redirect, out: outOf(with(func(p *packet) { p.flags, p.src = ack, f.host() })), flows: 2})
	})
}

// Nor does what is no ping, and so has no identifier, belong to the session of one whose identifier is 0.
func TestOtherICMPBelongsToNoPing(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N21")
		ping := f.ping(f.from("c1", f.remote(), 0, 0), 0)
		if r, err := run(f.FromContainer, ping.bytes(), f.at("c1")); err != nil || r.verdict != redirect {
			t.Fatalf("ping: verdict %s, %v", verdictName(r.verdict), err)
		}
		for _, kind := range either(f.six, []byte{5, 13, 17}, []byte{135, 139, 144}) {
			other := ping
			other.kind = kind
			f.run(t, "another type", step{prog: f.FromContainer, in: other, ctx: f.at("c1"), verdict: drop, hook: atContainer,
				reason: bpf.VethwayDropReasonDROP_PROTOCOL})
		}
	})
}

// guardReason is what the guard at the uplink calls what vw_from_container
// drops for another reason.
func guardReason(r reason) reason {
	if r == bpf.VethwayDropReasonDROP_FRAGMENT {
		return r
	}
	return bpf.VethwayDropReasonDROP_LEAK
}

// fragment cuts a fragment out of p, whose payload it gets.
func (f family) fragment(p packet, offset uint16, more bool) packet {
	p.frag = offset / 8
	if more {
		p.frag |= 0x2000
	}
	if !f.six {
		return p
	}
	field := p.frag&0x1fff<<3 | p.frag>>13
	p.headers = append([]header(nil), header{44, []byte{byte(field >> 8), byte(field), 0, 0, 0, 1}})
	return p
}

// forwarded is the context of a container's packet that the stack sends out.
func (f family) forwarded(dev, container string) skBuff {
	return skBuff{Ifindex: f.uplinks[dev].ifindex, IngressIfindex: f.containers[container].network.ifindex}
}

// Fragments to a container directly are dropped; those of whose beginning nothing is known are the stack's.
func TestFragmentsFromOutside(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D09")
		in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
		in.proto, in.payload = udp, make([]byte, 64)
		f.run(t, "to the host", step{prog: f.FromUplink, in: f.fragment(in, 64, true), ctx: f.atUplink("eth0"), verdict: next})
		in.dst = f.container("c1")
		f.run(t, "to the container", step{prog: f.FromUplink, in: f.fragment(in, 0, true), ctx: f.atUplink("eth0"),
			verdict: drop, hook: atUplink, reason: bpf.VethwayDropReasonDROP_DIRECT})
		f.run(t, "routed in", step{prog: f.ToBridge, in: f.fragment(in, 64, false), ctx: f.atBridge("c1", "eth0"),
			verdict: drop, hook: toBridge, reason: bpf.VethwayDropReasonDROP_DIRECT})
		in.proto, in.dst = 47, f.host()
		f.run(t, "unknown protocol to the host", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: next})
		in.dst = f.container("c1")
		f.run(t, "unknown protocol to the container", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"),
			verdict: drop, hook: atUplink, reason: bpf.VethwayDropReasonDROP_DIRECT})
	})
}

// A SYN on a session that was closing begins it afresh.
func TestSYNRestartsClosedSession(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		out := f.from("c1", f.remote(), 5000, 80)
		sent := out
		sent.src = f.host()
		answer := f.arriving("eth0", sent.answer())
		back := answer
		back.dst = out.src
		send := func(flags byte, flows int) {
			t.Helper()
			out.flags, sent.flags = flags, flags
			f.run(t, "out", step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: flows})
		}
		receive := func(flags byte) {
			t.Helper()
			answer.flags, back.flags = flags, flags
			f.run(t, "in", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", back)})
		}
		seen := func(want, wantBack byte) {
			t.Helper()
			if got, gotBack := f.flow(t, out).TcpFlags, f.flow(t, answer).TcpFlags; got != want || gotBack != wantBack {
				t.Errorf("flags seen %#x and %#x, want %#x and %#x", got, gotBack, want, wantBack)
			}
		}
		send(syn, 2)
		receive(syn | ack)
		send(fin|ack, 0)
		receive(fin | ack)
		seen(syn|fin|ack, syn|fin|ack)
		send(syn, 0)
		seen(syn, 0)
		receive(syn | ack)
		seen(syn, syn|ack)
	})
}

// An IPv6 packet with IPv4-mapped addresses must not meet the flows of IPv4.
func TestMappedAddresses(t *testing.T) {
	inLab(t, "ipv6", func(t *testing.T, l *lab) {
		w := newWorld(t, l, knobs{})
		four, six := family{world: w}, family{world: w, six: true}
		s := four.publishedSession(t, four.inbound("eth0", four.remote(), four.host(), 40000, 8080), "c1", 80)
		mapped := func(p packet) packet {
			p.src, p.dst, p.flags = netip.AddrFrom16(p.src.As16()), netip.AddrFrom16(p.dst.As16()), ack
			return p
		}
		w.run(t, "from outside", step{prog: w.FromUplink, in: mapped(s.in), ctx: six.atUplink("eth0"), verdict: next})
		w.run(t, "from the container", step{prog: w.FromContainer, in: mapped(s.reply), ctx: six.at("c1"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_MALFORMED})
		out := six.from("c1", netip.AddrFrom16(four.remote().As16()), 5000, 80)
		w.run(t, "to a mapped address", step{prog: w.FromContainer, in: out, ctx: six.at("c1"),
			verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_MALFORMED})
		w.run(t, "to an uplink", step{prog: w.ToUplink, in: out, ctx: six.forwarded("eth0", "c1"),
			verdict: drop, hook: toUplink, reason: bpf.VethwayDropReasonDROP_MALFORMED})
	})
}

// Broken packets with a container's address do not leave either.
func TestMalformed(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N21")
		whole := f.from("c1", f.remote(), 5000, 80)
		whole.payload = nil
		ip := either(f.six, 20, 40)
		for _, c := range []struct {
			name  string
			spoil func(b []byte) []byte
		}{
			{"transport header cut off", func(b []byte) []byte { return b[:ethLen+ip+10] }},
			{"longer than it is", func(b []byte) []byte { b[ethLen+either(f.six, 3, 5)] += 8; return b }},
			{"TCP header too short", func(b []byte) []byte { b[ethLen+ip+12] = 4 << 4; return b }},
		} {
			bad := c.spoil(whole.bytes())
			why := bpf.VethwayDropReasonDROP_MALFORMED
			f.run(t, c.name, step{prog: f.FromContainer, raw: bad, ctx: f.at("c1"), verdict: drop, hook: atContainer, reason: why})
			f.run(t, c.name+" by the stack", step{prog: f.ToUplink, raw: bad, ctx: f.forwarded("eth0", "c1"), verdict: drop, hook: toUplink, reason: why})
		}
	})
}
