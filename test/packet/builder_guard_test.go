// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"net/netip"
)

const howAll = howDenied | howClosed | howPaced

// guarded are packets that the guards look at: some to drop, more to let in.
func (b builder) guarded() {
	denied := b.parse("203.0.113.77", "2001:db8:bad:1::77")
	base := b.inbound("eth0", b.remote(), b.host(), 40000, 7300)
	base.payload = []byte("hello, world")
	with := base.with
	for _, proto := range []byte{tcp, udp} {
		which := protoName(proto)
		for name, port := range map[string]uint16{"closed": 7300, "published": 8080, "below": 22, "host's": map[byte]uint16{tcp: hostPortTCP, udp: hostPortUDP}[proto], "mapped": 5000} {
			b.post(which+" to a port that is "+name, with(func(p *packet) { p.proto, p.dport = proto, port }))
		}
		unpaced := b.before(with(func(p *packet) { p.proto, p.dport, p.sport = proto, 8080, 40500 }))
		unpaced.how = howClosed
		b.add("guard "+which+" to a published port, unpaced", unpaced)
		b.post(which+" from who is denied", with(func(p *packet) { p.proto, p.src = proto, denied }))
		b.post(which+" fragment", b.fragment(with(func(p *packet) { p.proto, p.payload = proto, make([]byte, 64) }), 0, true))
		b.post(which+" to a gateway", with(func(p *packet) { p.proto, p.dst = proto, b.gateway("c1") }))
		for _, c := range b.conversationsOf(proto) {
			if c.to == "" {
				b.add("guard "+which+" answer, "+c.name, arrives(c.from, c.asked), b.before(c.answer), arrives("", c.answer), b.before(c.answer))
			}
		}
		var burst []shot
		for i := range 5 {
			burst = append(burst, b.before(with(func(p *packet) { p.proto, p.dport, p.sport = proto, 8080, uint16(41000+i) })))
		}
		neighbour := with(func(p *packet) { p.proto, p.dport, p.src = proto, 8080, b.parse("192.0.2.4", "2001:db8:77::4") })
		b.add("guard "+which+" burst", append(burst, b.before(neighbour), arrives("", base), burst[0])...)
	}
	mapped, stranger := b.from("d1", b.remote(), 7003, 443), with(func(p *packet) { p.proto, p.src, p.dport = udp, b.parse("192.0.2.4", "2001:db8:2::4"), 7003 })
	mapped.proto = udp
	b.add("guard a stranger to a mapping", arrives("d1", mapped), shot{prog: moveCollect}, b.before(stranger), arrives("", stranger))
	b.post("ack", with(func(p *packet) { p.flags = ack }))
	b.post("ping", b.ping(base, 5000))
	b.post("ping from who is denied", b.ping(with(func(p *packet) { p.src = denied }), 5000))
	b.post("headers", b.variants(base)[either(b.six, "options", "hop-by-hop options")])
	if b.six {
		router := netip.MustParseAddr("fe80::1")
		for _, kind := range []byte{133, 134, 135, 136, 137} {
			nd := neighbourDiscovery(kind, router, netip.MustParseAddr("ff02::1"), b.host().AsSlice())
			b.post(fmt.Sprintf("discovery %d", kind%10), nd)
			nd.ttl = 64
			b.post(fmt.Sprintf("forged discovery %d", kind%10), nd)
		}
	} else {
		b.add("guard arp", shot{prog: "guard", how: howARP | howAll, ip: arp(1, remoteMAC, b.remote(), b.host())})
	}
	b.guardedTunnel()
}

// guardedTunnel is the same without link-layer header.
func (b builder) guardedTunnel() {
	p := packet{
		src: b.pick(tunnelRemote4, tunnelRemote6), dst: b.hostAddr("tun0"), ttl: 60, proto: tcp, sport: 40000, flags: syn, payload: []byte("hello, world"),
	}
	for _, proto := range []byte{tcp, udp} {
		p.proto = proto
		which := protoName(proto)
		var all []shot
		for name, port := range map[string]uint16{"closed": 7300, "published": 8080, "host's": map[byte]uint16{tcp: hostPortTCP, udp: hostPortUDP}[proto]} {
			p.dport = port
			s := shotOf("guard tun", "tun0", p)
			s.how = howAll
			b.add("guard tun "+which+" to a port that is "+name, s)
			if name == "published" {
				all = append(all, s, s, s, s, s)
			}
		}
		b.add("guard tun "+which+" burst", all...)
	}
	p.dport, p.src = 7300, b.parse("8.0.0.200", "2001:db8:86dd:0:bad::1")
	s := shotOf("guard tun", "tun0", p)
	s.how = howDenied
	b.add("guard tun from who is denied", s)
}

// before is a packet at the guards that stand before an uplink.
func (b builder) before(p packet) shot {
	s := shotOf("guard", "eth0", p)
	s.how = howAll
	return s
}

func (b builder) post(name string, p packet) { b.add("guard "+name, b.before(p)) }

// spliced is what the ends of connections between containers say.
func (b builder) spliced() {
	ask := b.from("c1", b.container("c2"), splicedClient, splicedServer)
	ask.flags, ask.payload = ack, []byte("hello, world")
	answer := b.from("c2", b.container("c1"), splicedServer, splicedClient)
	answer.flags, answer.payload = ack, ask.payload
	at := func(from string, p packet) shot { return shotOf("from spliced", from, p) }
	said, answered := at("c1", ask), at("c2", answer)
	b.add("spliced, asked", said)
	b.add("spliced, answered", answered)
	b.add("spliced, talk", said, answered, said)
	blocked := ask
	blocked.sport = blockedClient
	b.add("spliced, blocked", at("c1", blocked))
	other := ask
	other.sport = blockedClient + 1
	b.add("spliced, another", at("c1", other))
	other.dport = 81
	b.add("spliced, another port", at("c1", other))
	b.add("spliced, begins", at("c1", b.flagged(ask, syn)))
	empty := ask
	empty.payload = nil
	b.add("spliced, empty", at("c1", empty))
	b.add("spliced, from elsewhere", at("d1", ask), answered)
	b.add("spliced, to elsewhere", at("c1", b.flagged(b.from("c1", b.container("d1"), splicedClient, splicedServer), ack)))
	b.add("spliced, out", at("c1", b.masqueraded(tcp).asked))
	// More often than is tried.
	var often []shot
	for range 20 {
		often = append(often, at("c1", blocked))
	}
	b.add("spliced, often", often...)
	b.add("spliced, replaced", said, shot{prog: moveReplace}, answered, said)
}
