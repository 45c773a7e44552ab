// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"slices"
)

// headers are packets with everything that an IP header may have.
func (b builder) headers() {
	for _, proto := range []byte{tcp, udp} {
		which := protoName(proto)
		out := b.from("c1", b.remote(), 5000, 443)
		out.proto, out.flags = proto, ack
		sent := out
		sent.src = b.host()
		for name, p := range b.variants(out) {
			b.add(which+" out, "+name, arrives("c1", p))
		}
		for name, p := range b.variants(b.arriving("eth0", sent.answer())) {
			b.add(which+" in, "+name, arrives("", p))
		}
		big := out
		big.payload = make([]byte, 1600)
		for name, gso := range map[string]uint16{"segmented": 1000, "segments too big": 1500, "too big": 0} {
			s := arrives("c1", big)
			s.gso = gso
			b.add(which+" out, "+name, s)
			s = arrives("", b.arriving("eth0", sent.answer()))
			s.ip, s.gso = shotOf("from uplink", "eth0", bigger(b.arriving("eth0", sent.answer()))).ip, gso
			b.add(which+" in, "+name, s)
		}
	}
	for _, flags := range []byte{0, syn, rst, fin | ack, syn | ack, syn | fin, 0xff} {
		p := b.from("d1", b.remote(), 6100, 80)
		p.flags = flags
		name := fmt.Sprintf("out of state, flags %02x", flags)
		b.add(name, arrives("d1", p))
		b.add(name+", by the stack", shotOf("to uplink", "d1", p))
		b.add(name+", in", arrives("", b.flagged(b.inbound("eth0", b.remote(), b.host(), 40001, 8080), flags)))
	}
	b.lifetimes()
	b.cut()
	none := b.from("c1", b.remote(), 5000, 443)
	none.proto, none.noSum = udp, true
	b.add("udp without a checksum", arrives("c1", none))
}

// lifetimes are packets that cannot be sent on, and are answered.
func (b builder) lifetimes() {
	for _, proto := range []byte{tcp, udp} {
		which := protoName(proto)
		for _, c := range b.conversationsOf(proto) {
			p := c.asked
			p.ttl = 1
			b.add(which+" ttl 1, "+c.name, arrives(c.from, p))
			p = c.answer
			p.ttl = 1
			b.add(which+" ttl 1, answer, "+c.name, arrives(c.to, p))
			p = bigger(c.asked)
			p.frag = 0x4000
			b.add(which+" may not be cut up, "+c.name, arrives(c.from, p))
		}
	}
}

// cut are datagrams too big for the container's network, on their way to where
// they are cut up and back.
func (b builder) cut() {
	for name, c := range map[string]conversation{"published": b.published(udp), "hairpin": b.hairpinned(udp, "c2")} {
		asked, piece := arrives(c.from, bigger(c.asked)), shotOf("from cutter", "eth1", c.delivered)
		asked.how = howDetour
		b.add("cut "+name, asked, piece, arrives(c.to, bigger(c.answer)))
		pieces := []shot{}
		large := c.asked
		large.payload = make([]byte, 3300)
		for _, frame := range split(large, 1640, 79) {
			asked.ip = frame[ethLen:]
			pieces = append(pieces, asked)
		}
		b.add("cut fragments "+name, pieces...)
	}
}

// nothings are errors about what nobody here has sent.
func (b builder) nothings() {
	kind := either[byte](b.six, 3, 1)
	for name, about := range map[string]packet{
		"a neighbour": b.from("c2", b.container("c1"), 5001, 80), "another network": b.from("d1", b.container("c1"), 5001, 80),
		"the gateway": b.inbound("eth0", b.gateway("c1"), b.container("c1"), 5001, 80), "the outside": b.inbound("eth0", b.remote(), b.container("c1"), 5001, 80),
	} {
		e := about.quote(b.container("c1"), kind, 3, 0)
		b.add("error about nothing, to "+name, arrives("c1", e))
		b.add("error about nothing, by the stack, to "+name, shotOf("to uplink", "c1", e))
	}
	hosts := b.from("c1", b.remote(), 5001, 80)
	hosts.src = b.host()
	b.add("error about the host's", arrives("", b.arriving("eth0", hosts.quote(b.remote(), kind, 0, 0))))
}

// mapped are packets to an external endpoint of a network that lets in whoever
// sends to one.
func (b builder) mapped() {
	out := b.from("d1", b.remote(), 7000, 443)
	out.proto = udp
	in := b.inbound("eth0", b.parse("192.0.2.4", "2001:db8:2::4"), b.host(), 9999, 7000)
	in.proto = udp
	b.add("mapped, by a third", arrives("d1", out), arrives("", in), arrives("d1", b.into("d1", in).answer()), arrives("c1", b.into("c1", in).answer()))
	hairpin := b.from("c2", b.host(), 7001, 7000)
	hairpin.proto = udp
	b.add("mapped, by a container", arrives("d1", out), arrives("c2", hairpin), arrives("d1", hairpin.answer()), arrives("c2", hairpin))
}

func (b builder) flagged(p packet, flags byte) packet { p.flags = flags; return p }

func bigger(p packet) packet { p.payload = make([]byte, 1600); return p }

// fragments are datagrams in pieces: in order, out of order, overlapping and
// tiny ones.
func (b builder) fragments() {
	out := b.from("c1", b.remote(), 5000, 443)
	out.proto, out.payload = udp, make([]byte, 64)
	sent := out
	sent.src = b.host()
	in := b.arriving("eth0", sent.answer())
	for from, p := range map[string]packet{"c1": out, "": in, "c2": b.hairpinned(udp, "c2").asked} {
		p.payload = make([]byte, 64)
		var pieces []shot
		for _, frame := range split(p, 24, 77) {
			s := arrives(from, p)
			s.ip = frame[ethLen:]
			pieces = append(pieces, s)
		}
		side := map[string]string{"c1": "out", "": "in", "c2": "hairpin"}[from]
		b.add("fragments "+side+", in order", pieces...)
		b.add("fragments "+side+", overlapping", pieces[0], pieces[1], pieces[0], pieces[1], pieces[2])
		slices.Reverse(pieces)
		b.add("fragments "+side+", out of order", pieces...)
		var detour []shot
		for _, s := range pieces {
			s.how = howDetour
			detour = append(detour, s)
		}
		for _, s := range pieces {
			detour = append(detour, shot{prog: "from detour", ip: s.ip, how: howDetour})
		}
		slices.Reverse(pieces)
		for _, s := range pieces {
			s.how = howDetour | howMarked
			detour = append(detour, s)
		}
		b.add("fragments "+side+", by the detour", detour...)
		for i, s := range pieces[:3] {
			b.add(fmt.Sprintf("fragment %s %d", side, i+1), s)
		}
		tiny := b.fragment(p, 0, true)
		tiny.payload = nil
		s := arrives(from, tiny)
		s.ip = s.ip[:len(s.ip)-4]
		b.add("tiny fragment "+side, s)
	}
	var forwarded []shot
	for _, frame := range split(out, 24, 78) {
		forwarded = append(forwarded, shot{prog: "to uplink", from: 1, ip: frame[ethLen:]})
	}
	b.add("fragments by the stack", append([]shot{shotOf("to uplink", "c1", out)}, forwarded...)...)
	b.add("fragment by the stack", forwarded[0])
}

// others are protocols without ports, the host's own traffic, and what may not
// be.
func (b builder) others() {
	p := b.from("c1", b.remote(), 6000, 80)
	for name, dst := range map[string]packet{
		"new": p, "to the host": b.from("c1", b.gateway("c1"), 6000, 53), "to a neighbour": b.from("c1", b.container("c2"), 6000, 80),
		"to another network": b.from("c1", b.container("d1"), 6000, 80), "without icc": b.from("q1", b.container("q2"), 6000, 80),
		"from an internal network": b.from("i1", b.remote(), 6000, 80), "spoofed": b.from("c1", b.remote(), 6000, 80),
		"to all": b.from("c1", b.parse("255.255.255.255", "ff02::1"), 6000, 80),
	} {
		from := map[string]string{"without icc": "q1", "from an internal network": "i1", "spoofed": "c2"}[name]
		if from == "" {
			from = "c1"
		}
		dst.payload = nil
		b.add(name, arrives(from, dst))
	}
	for _, proto := range []byte{4, 41, 47, 50, 51, 253} {
		q := p
		q.proto, q.payload = proto, make([]byte, 24)
		name := fmt.Sprintf("protocol %03d", proto)
		back := b.arriving("eth0", q.answer())
		back.dst = b.host()
		b.add(name, arrives("c1", q))
		b.add(name+", in", arrives("", back))
		b.add(name+", there and back", arrives("c1", q), arrives("", back), shotOf("to uplink", "c2", q))
	}
	direct := b.inbound("eth0", b.remote(), b.container("c1"), 6000, 80)
	b.add("direct", arrives("", direct))
	b.add("routed in", shotOf("to bridge", "eth0", direct))
	b.add("routed in from another network", shotOf("to bridge", "d1", direct))
	b.add("the host's to a container", shotOf("to bridge", "", direct))
	b.add("forged", arrives("", b.inbound("eth0", b.container("d1"), b.host(), 6000, 8080)))
	for _, c := range []string{"c1", "p1", "f1", "i1"} {
		q := b.from(c, b.remote(), 6000, 80)
		b.add("by the stack from "+c, shotOf("to uplink", c, q))
		q.proto = udp
		b.add("udp by the stack from "+c, shotOf("to uplink", c, q))
	}
	b.nothings()
	b.mapped()
	hosts := packet{src: b.host(), dst: b.remote(), ttl: 64, proto: tcp, sport: 50000, dport: 80, flags: syn}
	b.add("the host's own", shotOf("to uplink", "", hosts))
	b.add("the host's ping", shotOf("to uplink", "", b.ping(hosts, 5000)))
	kind := either[byte](b.six, 11, 3)
	for _, proto := range []byte{tcp, udp} {
		b.add("the host's error about "+protoName(proto),
			shotOf("to uplink", "", b.published(proto).delivered.quote(b.host(), kind, 0, 0)))
	}
	if b.six {
		addr := b.container("c1")
		for _, kind := range []byte{133, 134, 135, 136, 137} {
			nd := neighbourDiscovery(kind, addr, b.parse("224.0.0.1", "ff02::1"), addr.AsSlice())
			b.add(fmt.Sprintf("neighbour discovery %d", kind%10), arrives("c1", nd))
		}
		routing := p
		routing.headers = []header{{43, []byte{0, 0, 0, 0, 0, 0}}}
		b.add("routing header", arrives("c1", routing))
		return
	}
	c := b.containers["c1"]
	s := shot{prog: "from container", how: howARP, ip: arp(1, mac{2, 0, 0, 0, 0, 1}, c.addr4, b.container("c2"))}
	b.add("arp", s)
}

// tunnels are packets at an uplink without link-layer headers.
func (b builder) tunnels() {
	remote, host := b.pick(tunnelRemote4, tunnelRemote6), b.hostAddr("tun0")
	for _, proto := range []byte{tcp, udp, b.icmpProto()} {
		which := protoName(proto)
		p := packet{src: remote, dst: host, ttl: 60, proto: proto, sport: 40000, dport: 8080, flags: syn, payload: []byte("hello, world")}
		out := packet{src: b.container("v1"), dst: remote, ttl: 60, proto: proto, sport: 5000, dport: 80, flags: syn, payload: []byte("hello, world")}
		if proto == b.icmpProto() {
			p, out = b.ping(p, 5000), b.ping(out, 5000)
		}
		if !b.six {
			p.options, out.options = noOperation, noOperation
		}
		sent := out
		sent.src = host
		ownHead := func(s shot) shot { s.how = howOwnHead; return s }
		in, leaves, back := shotOf("from tun", "tun0", p), shotOf("to tun", "v1", out), shotOf("from tun", "tun0", sent.answer())
		in, leaves, back = ownHead(in), ownHead(leaves), ownHead(back)
		kind := either[byte](b.six, 3, 1)
		e := sent.quote(remote, kind, 3, 0)
		e.options = sent.options
		complaint := ownHead(shotOf("from tun", "tun0", e))
		fitted := shotOf("from tun", "tun0", p)
		fitted.how = howMended
		b.add("tun "+which+", in, fitted", fitted)
		fitted = shotOf("to tun", "v1", out)
		fitted.how = howMended
		b.add("tun "+which+", out by the stack, fitted", fitted)
		b.add("tun "+which+", in", in)
		b.add("tun "+which+", out by the stack", leaves)
		b.add("tun "+which+", error", complaint)
		b.add("tun "+which+", talk", in, in, leaves, back, arrives("v1", out), back, complaint)
	}
}
