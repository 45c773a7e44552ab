// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// An IPv4 datagram without DF that is too big for the container's network goes, translated, to where it is cut up, and what comes back from
// there into the container.
func TestCut(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N09")
		f.clear(t)
		cutter := mac{2, 0, 0, 0, 0xcc, 1}
		settings := bpf.VethwaySettingsValue{Cutter: f.uplinks["eth1"].ifindex, CutterMac: cutter}
		check(t, f.Settings.Put(uint32(0), settings))
		defer func() { check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{})) }()
		large := make([]byte, 2600)
		// The namespace takes one of the TTL, so the programs do not.
		to := func(container string, p packet) *packet {
			p.srcMAC, p.dstMAC = f.containers[container].network.mac, cutter
			return &p
		}
		in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
		in.proto, in.payload = udp, large
		if f.six {
			// Nobody but the sender fragments IPv6.
			f.run(t, "too big", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: redirect,
				out: f.answered(in, f.host(), 2, 0, 1500), told: true, hook: atUplink, reason: bpf.VethwayDropReasonDROP_TOO_BIG, flows: 2})
			return
		}
		into := in
		into.dst, into.dport = f.container("c1"), 80
		f.run(t, "published", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: redirect, out: to("c1", into), flows: 2})
		f.run(t, "published, again", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: redirect, out: to("c1", into)})
		if got := f.flow(t, in).Packets; got != 2 {
			t.Errorf("%d packets were counted", got)
		}
		hairpin, delivered := f.from("c2", f.host(), 5000, 8080), f.from("c2", f.container("c1"), 5000, 80)
		hairpin.proto, hairpin.payload, delivered.proto, delivered.payload = udp, large, udp, large
		f.run(t, "hairpin", step{prog: f.FromContainer, in: hairpin, ctx: f.at("c2"), verdict: redirect, out: to("c1", delivered), flows: 2})
		ping := f.ping(f.from("c1", f.remote(), 0, 0), 5001)
		sent := ping
		sent.src = f.host()
		f.run(t, "ping", step{prog: f.FromContainer, in: ping, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2})
		answer := f.arriving("eth0", sent.answer())
		answer.payload = large
		back := answer
		back.dst = ping.src
		f.run(t, "ping, answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: to("c1", back)})
		in.payload, into.payload = make([]byte, 5000), make([]byte, 5000)
		frames, wants, fits := split(in, 2400, 5), split(*to("c1", into), 2400, 5), split(*f.into("c1", into), 2400, 5)
		for i := range frames {
			want := wants[i]
			if i == 2 {
				want = fits[i]
			}
			f.run(t, "fragments", step{prog: f.FromUplink, raw: frames[i], ctx: f.atUplink("eth0"), rawOut: want, verdict: redirect})
		}
		in.ttl, in.payload = 1, large
		f.run(t, "TTL 1", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: redirect,
			out: f.answered(in, f.host(), 11, 0, 0), told: true, hook: atUplink, reason: bpf.VethwayDropReasonDROP_TTL})
		f.cutByNobody(t, hairpin)
	})
}

// cutByNobody: without the namespace, a hairpin that is too big is refused.
func (f family) cutByNobody(t *testing.T, hairpin packet) {
	t.Helper()
	check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{}))
	f.run(t, "hairpin that nobody cuts up", step{prog: f.FromContainer, in: hairpin, ctx: f.at("c2"), verdict: redirect,
		out: f.answered(hairpin, f.gateway("c2"), 3, 4, 1500), told: true, hook: atContainer, reason: bpf.VethwayDropReasonDROP_TOO_BIG})
}

// What comes back from where datagrams are cut up goes to the container that it is addressed to, and to nobody else.
func TestFromCutter(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		at := f.atUplink("eth1")
		back := f.from("c1", f.container("c1"), 40000, 80)
		back.src, back.srcMAC, back.dstMAC, back.proto, back.payload = f.remote(), mac{2, 0, 0, 0, 0xcc, 1}, mac{2, 0, 0, 0, 0xcc, 2}, udp, make([]byte, 400)
		if f.six {
			f.run(t, "what cannot be", step{prog: f.FromCutter, in: back, ctx: at,
				verdict: drop, hook: fromCutter, reason: bpf.VethwayDropReasonDROP_FRAGMENT})
			return
		}
		into := back
		into.srcMAC, into.dstMAC = f.containers["c1"].network.mac, f.containers["c1"].mac
		frames, wants := split(back, 160, 5), split(into, 160, 5)
		for i := range frames {
			f.run(t, "fragments", step{prog: f.FromCutter, raw: frames[i], ctx: at, rawOut: wants[i], verdict: redirect})
		}
		for name, dst := range map[string]netip.Addr{"the host": f.host(), "nobody": f.parse("172.30.1.99", "fd30:1::99")} {
			other := back
			other.dst = dst
			f.run(t, "for "+name, step{prog: f.FromCutter, in: other, ctx: at,
				verdict: drop, hook: fromCutter, reason: bpf.VethwayDropReasonDROP_UNKNOWN_ENDPOINT})
		}
	})
}
