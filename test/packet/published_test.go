// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
)

// session is one that a client outside has with a published port: from the
// client, as the container gets it; from the container, as the client gets it.
type session struct {
	in, delivered, reply, replied packet
}

// publishedSession sends the first packet, and the first answer.
func (f family) publishedSession(t *testing.T, in packet, target string, port uint16) session {
	t.Helper()
	s := session{in: in, delivered: in}
	s.delivered.dst, s.delivered.dport = f.container(target), port
	s.delivered = *f.into(target, s.delivered)
	f.run(t, "first", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: redirect, out: &s.delivered, flows: 2})
	s.reply = s.delivered.answer()
	if way := f.flow(t, s.reply).Way; way != 0 {
		t.Errorf("nobody has answered, and the answer's way is %#x", way)
	}
	s.replied = s.reply
	s.replied.src, s.replied.sport = in.dst, in.dport
	s.replied = *outOf(s.replied)
	f.run(t, "answer", step{prog: f.FromContainer, in: s.reply, ctx: f.at(target), verdict: redirect, out: &s.replied})
	if way := f.way(t, s.reply); way.Oif != f.uplinks["eth0"].ifindex || fromAddr(way.NextHop) != f.remote() {
		t.Errorf("answer: leaves by %+v", way)
	}
	return s
}

// Whoever asks for a published port reaches the container, which sees the
// client as it is.
func TestPublished(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		for _, proto := range []byte{tcp, udp} {
			f.clear(t)
			in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
			in.proto = proto
			s := f.publishedSession(t, in, "c1", 80)
			for _, flags := range []byte{ack, ack | fin, rst} {
				for _, p := range []*packet{&s.in, &s.delivered, &s.reply, &s.replied} {
					p.flags = flags
				}
				f.run(t, "established in", step{prog: f.FromUplink, in: s.in, ctx: f.atUplink("eth0"), verdict: redirect, out: &s.delivered})
				f.run(t, "established out", step{prog: f.FromContainer, in: s.reply, ctx: f.at("c1"), verdict: redirect, out: &s.replied})
			}
			flow := f.flow(t, s.in)
			if flow.Packets != 4 || flow.Bytes != 4*uint64(len(s.in.bytes())-ethLen) {
				t.Errorf("protocol %d: %d packets, %d bytes", proto, flow.Packets, flow.Bytes)
			}
		}
	})
}

// What is not for a published port of this host is left alone, or dropped.
func TestPublishedNot(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D09", "D14")
		f.publish(t, published{addr: f.hostAddr("eth1").String(), port: 8443, target: "c1", targetPort: 443})
		loopback := f.parse("127.0.0.1", "::1")
		f.publish(t, published{addr: loopback.String(), port: 9000, target: "c1", targetPort: 80})
		base := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
		to := func(dst netip.Addr, port uint16) packet {
			p := base
			p.dst, p.dport = dst, port
			return p
		}
		from := func(src netip.Addr) packet {
			p := base
			p.src = src
			return p
		}
		with := func(p packet, flags byte) packet {
			p.flags = flags
			return p
		}
		forOther := base
		forOther.dstMAC = mac{2, 0, 0, 0, 0, 99}
		for _, c := range []struct {
			name   string
			in     packet
			reason reason // zero: to the stack
		}{
			{"another port", to(f.host(), 8081), 0},
			{"an address that it is not published on", to(f.host(), 8443), 0},
			{"passing through", to(f.parse("203.0.113.8", "2001:db8:8::8"), 8080), 0},
			{"forged frame for a loopback address", to(loopback, 9000), 0},
			{"forged frame for a loopback address, port published on any", to(loopback, 8080), 0},
			{"a frame for another host", forOther, 0},
			{"out of state: ACK", with(base, ack), 0},
			{"out of state: SYN and ACK", with(base, syn|ack), 0},
			{"out of state: RST", with(base, rst), 0},
			{"out of state: SYN and FIN", with(base, syn|fin), 0},
			{"ping", f.ping(base, 8080), 0},
			{"from our own address", from(f.host()), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"from a loopback address", from(loopback), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"from a container's address", from(f.container("d1")), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"directly to the container's port", to(f.container("c1"), 80), bpf.VethwayDropReasonDROP_DIRECT},
			{"directly to the container, the published number", to(f.container("c1"), 8080), bpf.VethwayDropReasonDROP_DIRECT},
			{"directly to another container", to(f.container("d1"), 80), bpf.VethwayDropReasonDROP_DIRECT},
			{"directly to an internal network", to(f.container("i1"), 80), bpf.VethwayDropReasonDROP_DIRECT},
			{"directly to nobody of a subnet", to(f.parse("172.30.1.99", "fd30:1::99"), 80), bpf.VethwayDropReasonDROP_DIRECT},
			{"ping of the container", f.ping(to(f.container("c1"), 0), 7), bpf.VethwayDropReasonDROP_DIRECT},
			{"to a port of the pool that nobody has", to(f.host(), 23456), 0},
			{"out of state to the container", with(to(f.container("c1"), 80), rst), bpf.VethwayDropReasonDROP_DIRECT},
		} {
			s := step{prog: f.FromUplink, in: c.in, ctx: f.atUplink("eth0"), verdict: next}
			if c.reason != 0 {
				s.verdict, s.hook, s.reason = drop, atUplink, c.reason
			}
			f.run(t, c.name, s)
		}
	})
}

// Two host ports lead to one container port. A client that uses one port of
// its own for both has two sessions nevertheless.
func TestPublishedTwice(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D21")
		second := f.publish(t, published{port: 8081, target: "c1", targetPort: 80})
		in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
		s := f.publishedSession(t, in, "c1", 80)

		clash := in
		clash.dport = 8081
		r, err := run(f.FromUplink, clash.bytes(), f.atUplink("eth0"))
		check(t, err)
		moved := wire(f.flow(t, clash).N_sport)
		if moved == 40000 {
			t.Fatalf("both sessions have the port\n%s", f.describe(t))
		}
		delivered := clash
		delivered.dst, delivered.dport, delivered.sport = f.container("c1"), 80, moved
		delivered = *f.into("c1", delivered)
		f.compare(t, "clash", clash.bytes(), step{in: clash, verdict: redirect, out: &delivered}, r)
		reply := delivered.answer()
		replied := reply
		replied.src, replied.sport, replied.dport = f.host(), 8081, 40000
		f.run(t, "clash: answer", step{prog: f.FromContainer, in: reply, ctx: f.at("c1"), verdict: redirect, out: outOf(replied)})

		// Removing one leaves the other.
		f.setGeneration(t, second, generation+1)
		s.in.flags, s.delivered.flags = ack, ack
		f.run(t, "the first", step{prog: f.FromUplink, in: s.in, ctx: f.atUplink("eth0"), verdict: redirect, out: &s.delivered})
		clash.flags = ack
		f.run(t, "the removed", step{prog: f.FromUplink, in: clash, ctx: f.atUplink("eth0"), verdict: next, flows: -2})
	})
}

// A container may use a published number as its own port.
func TestPublishedNumberAsSourcePort(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D13")
		out := f.from("c2", f.remote(), 8080, 40000)
		_, err := run(f.FromContainer, out.bytes(), f.at("c2"))
		check(t, err)
		sent := out
		sent.src, sent.sport = f.host(), wire(f.flow(t, out).N_sport)
		answer := f.arriving("eth0", sent.answer())
		back := answer
		back.dst, back.dport = out.src, out.sport
		f.run(t, "answer", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c2", back)})
		// The same client, the same ports the other way round.
		f.publishedSession(t, f.inbound("eth0", f.remote(), f.host(), 40000, 8080), "c1", 80)
	})
}

// An unpublished port, or a container that is gone, takes its flows with it.
func TestPublishedStale(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		slot := f.publish(t, published{port: 8088, target: "c1", targetPort: 88})
		for _, proto := range []byte{tcp, udp} {
			in := f.inbound("eth0", f.remote(), f.host(), 40000, 8088)
			in.proto = proto
			s := f.publishedSession(t, in, "c1", 88)
			f.setGeneration(t, slot, generation+1)
			s.in.flags = ack
			// The daemon takes the port away first.
			for _, a := range []string{"0.0.0.0", "::"} {
				err := f.Published.Delete(bpf.VethwayPublishedKey{Addr: toAddr(netip.MustParseAddr(a)), Port: wire(8088), Proto: proto})
				check(t, err)
			}
			f.run(t, "in", step{prog: f.FromUplink, in: s.in, ctx: f.atUplink("eth0"), verdict: next, flows: -2})
			s.reply.flags = rst
			if proto == tcp {
				f.run(t, "out", step{prog: f.FromContainer, in: s.reply, ctx: f.at("c1"),
					verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_NO_FLOW})
			}
			f.setGeneration(t, slot, generation)
		}

		out := f.from("c2", f.remote(), 5000, 80)
		sent := out
		sent.src = f.host()
		f.run(t, "masquerade", step{prog: f.FromContainer, in: out, ctx: f.at("c2"), verdict: redirect, out: outOf(sent), flows: 2})
		f.setGeneration(t, f.containers["c2"].slot, generation+1)
		answer := f.arriving("eth0", sent.answer())
		f.run(t, "masquerade: answer to a container that is gone", step{prog: f.FromUplink, in: answer, ctx: f.atUplink("eth0"), verdict: next})
	})
}

// A published port may lie where the kernel picks ports by itself: a host's
// socket that has got it keeps it.
func TestPublishedInTheHostsRange(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.publish(t, published{port: 40001, target: "c1", targetPort: 53})
		in := f.inbound("eth0", f.remote(), f.host(), 53, 40001)
		in.proto = udp
		delivered := in
		delivered.dst, delivered.dport = f.container("c1"), 53

		sock := f.bindUDP(t, 40001)
		f.run(t, "the host's", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: next})
		check(t, unix.Close(sock))
		f.run(t, "the container's", step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", delivered), flows: 2})
	})
}

// bindUDP binds a socket of the host's to any address.
func (f family) bindUDP(t *testing.T, port int) int {
	t.Helper()
	domain, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port})
	if f.six {
		domain, addr = unix.AF_INET6, &unix.SockaddrInet6{Port: port}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	check(t, unix.Bind(fd, addr))
	return fd
}
