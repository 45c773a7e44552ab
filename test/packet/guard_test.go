// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// TestGuardDenied: nothing comes in from a denied prefix, whatever it is; everything from elsewhere does.
func TestGuardDenied(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		evil := f.parse("198.51.100.77", "2001:db8:bad:1::77")
		f.deny(t, netip.PrefixFrom(evil, either(f.six, 24, 48)))
		base := f.inbound("eth0", evil, f.host(), 40000, 8080)
		good := base
		good.src = f.remote()
		with := base.with
		cases := []guardCase{
			{name: "SYN", in: base, reason: bpf.VethwayDropReasonDROP_DENIED},
			{name: "established", in: with(func(p *packet) { p.flags = ack }), reason: bpf.VethwayDropReasonDROP_DENIED},
			{name: "UDP to the host", in: with(func(p *packet) { p.proto, p.dport = udp, 53 }), reason: bpf.VethwayDropReasonDROP_DENIED},
			{name: "ping", in: f.ping(base, 7), reason: bpf.VethwayDropReasonDROP_DENIED},
			{name: "passing through", in: with(func(p *packet) { p.dst = f.parse("203.0.113.9", "2001:db8:9::9") }), reason: bpf.VethwayDropReasonDROP_DENIED},
			{name: "fragment", in: with(func(p *packet) { p.frag = 100; p.headers = fragmentHeader(f.six) }), reason: bpf.VethwayDropReasonDROP_DENIED},
			{name: "from elsewhere", in: good},
			{name: "denied is the destination", in: with(func(p *packet) { p.src, p.dst = f.remote(), evil })},
			{name: "the neighbouring prefix", in: with(func(p *packet) { p.src = f.parse("198.51.101.77", "2001:db8:bae:1::77") })},
			{name: "ARP", raw: slices.Concat(ethernet(mac{0xff}, remoteMAC, etherARP), make([]byte, 46))},
			{name: "tagged", raw: tagged(base.bytes())},
		}
		for _, post := range f.guardPosts() {
			f.guard(t, bpf.VethwayGuardValue{Flags: uint32(maps.GuardDenied)})
			for _, c := range cases {
				if c.name == "tagged" && !post.xdp {
					continue // the stack takes the tag off before
				}
				f.watch(t, post, c)
			}
			// Whoever is on the list is let in while the list is not to be looked at.
			f.guard(t, bpf.VethwayGuardValue{})
			f.watch(t, post, guardCase{name: "switched off", in: base})
		}
	})
}

// TestGuardDeniedOnTunnel: the same where frames have no link-layer header.
func TestGuardDeniedOnTunnel(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		remote := f.pick(tunnelRemote4, tunnelRemote6)
		in := f.tunnelled(t, packet{
			src: remote, dst: f.hostAddr("tun0"), ttl: 60, proto: udp, sport: 40000, dport: 53, payload: []byte("hello, world, and some more"),
		})
		at := step{prog: f.GuardTun, in: in, ctx: f.atUplink("tun0"), verdict: next}
		f.guard(t, bpf.VethwayGuardValue{Flags: uint32(maps.GuardDenied)})
		f.run(t, "not denied", at)
		f.deny(t, netip.PrefixFrom(remote, remote.BitLen()))
		at.verdict, at.hook, at.reason = drop, bpf.VethwayHookHOOK_GUARD, bpf.VethwayDropReasonDROP_DENIED
		f.run(t, "denied", at)
	})
}

// TestGuardMalformed: what is cut off anywhere is passed on, and nothing is read that is not there.
func TestGuardMalformed(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.deny(t, netip.PrefixFrom(f.parse("198.51.100.77", "2001:db8:bad::77"), either(f.six, 32, 128)))
		f.guard(t, bpf.VethwayGuardValue{Flags: uint32(maps.GuardDenied | maps.GuardClosed), ClosedFirst: 1, ClosedLast: 65535, Interval: 1e9})
		whole := f.inbound("eth0", f.remote(), f.host(), 40000, 9)
		whole.payload = nil
		for _, proto := range []byte{tcp, udp} {
			whole.proto = proto
			frame := whole.bytes()
			for n := ethLen; n < len(frame); n++ {
				f.watch(t, f.guardPosts()[0], guardCase{name: fmt.Sprintf("%d bytes", n), raw: frame[:n]})
			}
		}
	})
}

// TestGuardClosedPorts: in the range, what nobody has is dropped; what anybody has, or may have, is not.
func TestGuardClosedPorts(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: f.host().AsSlice()})
		check(t, err)
		defer listener.Close()
		datagrams, err := net.ListenUDP("udp", &net.UDPAddr{IP: f.host().AsSlice()})
		check(t, err)
		defer datagrams.Close()
		f.usePort(t, tcp, 7000, portHost)
		mapped := uint16(7100)
		for _, proto := range []byte{tcp, udp} {
			index := maps.PortIndex(proto, mapped)
			check(t, f.PortFlows.Put(index, uint32(1)))
			defer func() { check(t, f.PortFlows.Put(index, uint32(0))) }()
		}
		to := func(proto byte, port uint16, flags byte) packet {
			p := f.inbound("eth0", f.remote(), f.host(), 40000, port)
			p.proto, p.flags = proto, flags
			return p
		}
		other := to(tcp, 7300, syn)
		other.dst = f.parse("203.0.113.9", "2001:db8:9::9")
		gateway := to(tcp, 7300, syn)
		gateway.dst = f.gateway("c1")
		const closed = bpf.VethwayDropReasonDROP_CLOSED_PORT
		for _, post := range f.guardPosts() {
			f.guard(t, bpf.VethwayGuardValue{Flags: uint32(maps.GuardClosed), ClosedFirst: 2000, ClosedLast: 60999})
			for _, c := range []guardCase{
				{name: "TCP", in: to(tcp, 7300, syn), reason: closed},
				{name: "UDP", in: to(udp, 7300, 0), reason: closed},
				{name: "the first of the range", in: to(tcp, 2000, syn), reason: closed},
				{name: "the last of the range", in: to(udp, 60999, 0), reason: closed},
				{name: "below the range", in: to(tcp, 1999, syn)},
				{name: "above the range", in: to(udp, 61000, 0)},
				{name: "published", in: to(tcp, 8080, syn)},
				{name: "a listening socket", in: to(tcp, uint16(listener.Addr().(*net.TCPAddr).Port), syn)},
				{name: "a UDP socket", in: to(udp, uint16(datagrams.LocalAddr().(*net.UDPAddr).Port), 0)},
				{name: "a listening socket's number, by UDP", in: to(udp, uint16(listener.Addr().(*net.TCPAddr).Port), 0), reason: closed},
				{name: "bound by the host", in: to(tcp, 7000, syn)},
				{name: "bound by the host, other protocol", in: to(udp, 7000, 0), reason: closed},
				{name: "a session is translated to it, TCP", in: to(tcp, mapped, syn)},
				{name: "a session is translated to it, UDP", in: to(udp, mapped, 0)},
				{name: "the answer to a connection of the host", in: to(tcp, 7300, syn|ack)},
				{name: "a connection that the stack knows", in: to(tcp, 7300, ack)},
				{name: "an RST", in: to(tcp, 7300, rst)},
				{name: "passing through", in: other},
				{name: "to a gateway", in: gateway},
				{name: "ping", in: f.ping(to(tcp, 7300, syn), 7)},
				{name: "SCTP", in: to(132, 7300, 0)},
			} {
				f.watch(t, post, c)
			}
			f.guard(t, bpf.VethwayGuardValue{ClosedFirst: 2000, ClosedLast: 60999})
			f.watch(t, post, guardCase{name: "switched off", in: to(tcp, 7300, syn)})
		}
	})
}

// TestGuardSourceRate: a source may begin burst + 1 flows at once; what belongs to a flow, and the host's own, is not counted.
func TestGuardSourceRate(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "R05")
		const hour, burst = uint64(3600e9), 3
		for _, post := range f.guardPosts() {
			emptyMap(t, f.Sources)
			f.guard(t, bpf.VethwayGuardValue{Interval: hour, Burst: (burst - 1) * hour})
			with := func(src netip.Addr, proto byte, flags byte) packet {
				p := f.inbound("eth0", src, f.host(), 40000, 8080)
				p.proto, p.flags = proto, flags
				return p
			}
			for _, proto := range []byte{tcp, udp} {
				emptyMap(t, f.Sources)
				for i := range burst + 3 {
					c := guardCase{name: fmt.Sprintf("flow %d, protocol %d", i, proto), in: with(f.remote(), proto, syn)}
					if i >= burst {
						c.reason = bpf.VethwayDropReasonDROP_SOURCE_RATE
					}
					f.watch(t, post, c)
				}
			}
			neighbour := f.parse("198.51.100.78", "2001:db8:aaaa:2::78")
			host := with(f.remote(), tcp, syn)
			host.dport = 22
			for _, c := range []guardCase{
				{name: "established", in: with(f.remote(), tcp, ack)},
				{name: "another source", in: with(neighbour, tcp, syn)},
				{name: "a service of the host", in: host},
			} {
				f.watch(t, post, c)
			}
			f.guard(t, bpf.VethwayGuardValue{})
			f.watch(t, post, guardCase{name: "switched off", in: with(f.remote(), tcp, syn)})
		}
		f.sourcesByPrefix(t)
		f.refill(t)
		f.udpFlows(t)
	})
}

// sourcesByPrefix: an IPv6 source has a /64 of addresses, and no more flows for that.
func (f family) sourcesByPrefix(t *testing.T) {
	t.Helper()
	if !f.six {
		return
	}
	emptyMap(t, f.Sources)
	f.guard(t, bpf.VethwayGuardValue{Interval: 3600e9})
	for i, want := range []reason{0, bpf.VethwayDropReasonDROP_SOURCE_RATE, 0} {
		src := []string{"2001:db8:7:7::1", "2001:db8:7:7:ffff::2", "2001:db8:7:8::1"}[i]
		in := f.inbound("eth0", netip.MustParseAddr(src), f.host(), 40000, 8080)
		f.watch(t, f.guardPosts()[0], guardCase{name: src, in: in, reason: want})
	}
}

// refill: time pays. What is due is put back in the map, as if it had passed.
func (f family) refill(t *testing.T) {
	t.Helper()
	emptyMap(t, f.Sources)
	f.guard(t, bpf.VethwayGuardValue{Interval: 3600e9})
	in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
	f.watch(t, f.guardPosts()[0], guardCase{name: "the first", in: in})
	f.watch(t, f.guardPosts()[0], guardCase{name: "at once", in: in, reason: bpf.VethwayDropReasonDROP_SOURCE_RATE})
	var key bpf.VethwayAddr
	check(t, f.Sources.NextKey(nil, &key))
	check(t, f.Sources.Put(key, bpf.VethwaySourceValue{Due: 1}))
	f.watch(t, f.guardPosts()[0], guardCase{name: "later", in: in})
	f.watch(t, f.guardPosts()[0], guardCase{name: "at once again", in: in, reason: bpf.VethwayDropReasonDROP_SOURCE_RATE})
}

// udpFlows: a datagram of a session costs nothing.
func (f family) udpFlows(t *testing.T) {
	t.Helper()
	emptyMap(t, f.Sources)
	f.guard(t, bpf.VethwayGuardValue{Interval: 3600e9})
	in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
	in.proto = udp
	f.watch(t, f.guardPosts()[0], guardCase{name: "the first datagram", in: in})
	f.publishedSession(t, in, "c1", 80)
	for range 5 {
		f.watch(t, f.guardPosts()[0], guardCase{name: "of the session", in: in})
	}
	in.sport++
	f.watch(t, f.guardPosts()[0], guardCase{name: "of another", in: in, reason: bpf.VethwayDropReasonDROP_SOURCE_RATE})
}

// fragmentHeader is that of a later fragment.
func fragmentHeader(six bool) []header {
	if !six {
		return nil
	}
	return []header{{proto: 44, body: []byte{0x01, 0x90, 0, 0, 0, 9}}}
}

// tagged puts a VLAN tag in.
func tagged(frame []byte) []byte {
	return slices.Concat(frame[:12], binary.BigEndian.AppendUint16([]byte{0x81, 0x00}, 7), frame[12:])
}
