// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// markInOrder is MARK_IN_ORDER of bpf/lib/fragment.h.
const markInOrder = 0x76776f72

// split cuts a packet into fragments with so many bytes of payload each, a multiple of eight (RFC 791 section 3.2, RFC 8200
// section 4.5).
func split(p packet, size int, id uint32) [][]byte {
	whole := p.bytes()
	ip := 20
	if p.v6() {
		ip = 40
	}
	head, body := whole[:ethLen+ip], whole[ethLen+ip:]
	var all [][]byte
	for at := 0; at < len(body); at += size {
		n := min(size, len(body)-at)
		more := at+n < len(body)
		b := append([]byte(nil), head...)
		if p.v6() {
			field := uint16(at)
			if more {
				field |= 1
			}
			ext := []byte{b[ethLen+6], 0, 0, 0, 0, 0, 0, 0}
			binary.BigEndian.PutUint16(ext[2:], field)
			binary.BigEndian.PutUint32(ext[4:], id)
			b[ethLen+6] = 44
			binary.BigEndian.PutUint16(b[ethLen+4:], uint16(8+n))
			b = append(b, ext...)
		} else {
			field := uint16(at / 8)
			if more {
				field |= 0x2000
			}
			binary.BigEndian.PutUint16(b[ethLen+2:], uint16(ip+n))
			binary.BigEndian.PutUint16(b[ethLen+4:], uint16(id))
			binary.BigEndian.PutUint16(b[ethLen+6:], field)
			copy(b[ethLen+10:], []byte{0, 0})
			binary.BigEndian.PutUint16(b[ethLen+10:], checksum(b[ethLen:]))
		}
		all = append(all, append(b, body[at:at+n]...))
	}
	return all
}

// A datagram in fragments, in order, is translated as it would be in one piece; out and back, published and by ping.
func TestFragmentsInOrder(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N10")
		payload := make([]byte, 400)
		for i := range payload {
			payload[i] = byte(i)
		}
		out := f.from("c1", f.remote(), 5000, 80)
		out.proto, out.payload = udp, payload
		ping := f.ping(out, 5001)
		in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
		in.proto, in.payload = udp, payload
		id := uint32(7)
		through := func(name string, from step, in, want packet, fresh int) {
			t.Helper()
			id++
			frames, wants := split(in, 160, id), split(want, 160, id)
			for i := range frames {
				s := step{prog: from.prog, ctx: from.ctx, raw: frames[i], rawOut: wants[i], verdict: redirect}
				if i == 0 {
					s.flows = fresh
				}
				f.run(t, name, s)
			}
		}
		container := step{prog: f.FromContainer, ctx: f.at("c1")}
		uplink := step{prog: f.FromUplink, ctx: f.atUplink("eth0")}
		for _, p := range []packet{out, ping} {
			sent := p
			sent.src = f.host()
			through("out", container, p, *outOf(sent), 2)
			through("out again", container, p, *outOf(sent), 0)
			answer := f.arriving("eth0", sent.answer())
			answer.payload = payload
			back := answer
			back.dst = p.src
			through("back", uplink, answer, *f.into("c1", back), 0)
		}
		into := in
		into.dst, into.dport = f.container("c1"), 80
		through("published", uplink, in, *f.into("c1", into), 2)
		// What the stack had to cut up leaves with the same address.
		sent := out
		sent.src = f.host()
		id++
		frames, wants := split(out, 160, id), split(sent, 160, id)
		for i := range frames {
			f.run(t, "by the stack", step{prog: f.ToUplink, ctx: f.forwarded("eth0", "c1"), raw: frames[i], rawOut: wants[i], verdict: next})
		}
	})
}

// A datagram whose first fragment is not the first to come takes the detour, all of it; what comes back is in order.
func TestFragmentsOutOfOrder(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N10")
		f.clear(t)
		detour := mac{2, 0, 0, 0, 0xde, 1}
		check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{Detour: f.uplinks["eth1"].ifindex, DetourMac: detour}))
		defer func() { check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{})) }()
		out := f.from("c1", f.remote(), 5000, 80)
		out.proto, out.payload = udp, make([]byte, 400)
		in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
		in.proto, in.payload = udp, make([]byte, 400)
		sent, into := out, in
		sent.src = f.host()
		into.dst, into.dport = f.container("c1"), 80
		for _, c := range []struct {
			name     string
			prog     step
			in, want packet
		}{
			{"out", step{prog: f.FromContainer, ctx: f.at("c1")}, out, *outOf(sent)},
			{"in", step{prog: f.FromUplink, ctx: f.atUplink("eth0")}, in, *f.into("c1", into)},
		} {
			frames := split(c.in, 160, 77)
			for _, i := range []int{2, 1, 0} {
				want := append([]byte(nil), frames[i]...)
				copy(want, detour[:])
				f.run(t, c.name+": to the detour", step{prog: c.prog.prog, ctx: c.prog.ctx, raw: frames[i], rawOut: want, verdict: redirect})
			}
			// The namespace takes one of the TTL and its own MAC addresses, and may choose another identifier.
			aged := c.in
			aged.ttl--
			aged.srcMAC, aged.dstMAC = detour, mac{2, 0, 0, 0, 0xde, 2}
			back, ordered, wants := split(aged, 160, 78), split(c.in, 160, 78), split(c.want, 160, 78)
			for i := range back {
				f.run(t, c.name+": from the detour", step{prog: f.FromDetour, ctx: f.atUplink("eth1"), raw: back[i], rawOut: ordered[i], verdict: redirect})
				ctx := c.prog.ctx
				ctx.Mark = markInOrder
				s := step{prog: c.prog.prog, ctx: ctx, raw: ordered[i], rawOut: wants[i], verdict: redirect}
				if i == 0 {
					s.flows = 2
				}
				f.run(t, c.name+": again, in order", s)
			}
		}
	})
}
