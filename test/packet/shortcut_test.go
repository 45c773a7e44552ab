// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// bothWays runs f with shortcuts and without.
func bothWays(t *testing.T, f func(t *testing.T, w family)) {
	t.Helper()
	t.Run("by shortcuts", func(t *testing.T) { eachFamily(t, knobs{}, f) })
	t.Run("the long way", func(t *testing.T) { eachFamily(t, knobs{longWay: true}, f) })
}

// Nothing but shortcuts is asked where they are enough, and they are not
// trusted where something else has to be asked.
func TestShortcuts(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		c1, c2 := f.containers["c1"], f.containers["c2"]
		in := f.from("c1", f.container("c2"), 5000, 80)
		in.dstMAC = c2.mac
		long := step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: drop, hook: atContainer,
			reason: bpf.VethwayDropReasonDROP_UNKNOWN_ENDPOINT}
		// Who goes the long way now is found out.
		check(t, f.Veths.Delete(c1.ifindex))
		f.run(t, "by shortcuts alone", step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: redirect, out: &in})

		to, from := f.endpointShortcut("c2"), f.endpointShortcut("c1")
		with := func(v bpf.VethwayShortcutValue, change func(*bpf.VethwayShortcutValue)) bpf.VethwayShortcutValue {
			change(&v)
			return v
		}
		for name, v := range map[string]bpf.VethwayShortcutValue{
			"the receiver has none":          {},
			"somebody else's place":          with(to, func(v *bpf.VethwayShortcutValue) { v.Addr.B[15]++ }),
			"of another network":             with(to, func(v *bpf.VethwayShortcutValue) { v.Network++ }),
			"the receiver is another by now": with(to, func(v *bpf.VethwayShortcutValue) { v.Generation-- }),
		} {
			f.shortcut(t, f.container("c2"), v)
			f.run(t, name, long)
		}
		f.shortcut(t, f.container("c2"), to)
		for name, v := range map[string]bpf.VethwayShortcutValue{
			"the sender has none":              {},
			"the sender is somewhere else":     with(from, func(v *bpf.VethwayShortcutValue) { v.Ifindex++ }),
			"the sender's MAC is another":      with(from, func(v *bpf.VethwayShortcutValue) { v.Mac[5]++ }),
			"the network keeps them apart":     with(from, func(v *bpf.VethwayShortcutValue) { v.Flags |= noICC }),
			"the sender is of another network": with(from, func(v *bpf.VethwayShortcutValue) { v.Network++ }),
		} {
			f.shortcut(t, f.container("c1"), v)
			f.run(t, name, long)
		}
		f.shortcut(t, f.container("c1"), from)
		check(t, f.Hairpins.Put(uint32(c1.network.id), uint32(1)))
		f.run(t, "the network has hairpins, but the packet no flow", step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: redirect, out: &in})
		check(t, f.Hairpins.Put(uint32(c1.network.id), uint32(0)))
		all := in
		all.dstMAC = broadcast
		flooded := long
		flooded.in = all
		f.run(t, "to everybody's MAC", flooded)
		f.run(t, "and again", step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: redirect, out: &in})
	})
}

// What is for the host itself is told by shortcuts as well, unless a flow may
// have its port, or its sender may not reach the host.
func TestShortcutsToTheHost(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		gateway := f.from("c1", f.gateway("c1"), 80, 50000)
		gateway.flags = syn | ack
		host := f.from("c1", f.host(), 5000, 443)
		dns := f.from("c1", f.gateway("d1"), 5000, 53)
		dns.proto = udp
		// Who goes the long way now is found out. Some of the lab's addresses share a place.
		for _, c := range f.containers {
			check(t, f.Veths.Delete(c.ifindex))
		}
		for _, name := range []string{"c1", "d1", "i1"} {
			f.shortcut(t, f.gateway(name), bpf.VethwayShortcutValue{
				Addr: toAddr(f.gateway(name)), Kind: shortcutGateway, Network: f.containers[name].network.id,
			})
		}
		for _, name := range []string{"c1", "c2", "i1"} {
			f.shortcut(t, f.container(name), f.endpointShortcut(name))
		}
		short := func(t *testing.T, name, container string, in packet) {
			t.Helper()
			f.run(t, name, step{prog: f.FromContainer, in: in, ctx: f.at(container), verdict: next, out: &in})
		}
		long := func(t *testing.T, name, container string, in packet) {
			t.Helper()
			f.run(t, name, step{prog: f.FromContainer, in: in, ctx: f.at(container), verdict: drop, hook: atContainer,
				reason: bpf.VethwayDropReasonDROP_UNKNOWN_ENDPOINT})
		}
		short(t, "to the gateway", "c1", gateway)
		short(t, "to the host", "c1", host)
		short(t, "to another network's gateway", "c1", dns)
		short(t, "from an internal network to its gateway", "i1", f.from("i1", f.gateway("i1"), 5000, 53))
		long(t, "from an internal network to the host", "i1", f.from("i1", f.host(), 5000, 53))
		long(t, "from an internal network to another gateway", "i1", f.from("i1", f.gateway("c1"), 5000, 53))

		pool, published, ping, spoofed := gateway, gateway, f.ping(gateway, 7), gateway
		pool.dport, published.dport, spoofed.srcMAC = poolFirst, 8080, f.containers["c2"].mac
		for name, in := range map[string]packet{
			"a port of the NAT pool": pool, "a published port": published, "a ping": ping, "somebody else's MAC": spoofed,
		} {
			long(t, name, "c1", in)
		}
		long(t, "by somebody else's veth", "c2", gateway)
		f.shortcut(t, f.container("c1"), bpf.VethwayShortcutValue{})
		long(t, "the sender has none", "c1", gateway)
		f.shortcut(t, f.container("c1"), f.endpointShortcut("c1"))
		short(t, "and again", "c1", gateway)
	})
}

// A receiver that has no shortcut, since another address has its place, is still no stranger.
func TestReceiverWithoutShortcut(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D08")
		for _, name := range []string{"c2", "d1", "q2"} {
			f.shortcut(t, f.container(name), bpf.VethwayShortcutValue{})
		}
		for _, proto := range []byte{tcp, udp} {
			send := func(name, from string, to netip.Addr, want step) {
				t.Helper()
				in := f.from(from, to, 5000, 80)
				in.proto = proto
				want.prog, want.in, want.ctx = f.FromContainer, in, f.at(from)
				if want.verdict == redirect {
					in.dstMAC = f.containers["c2"].mac
					want.out = &in
				}
				f.run(t, fmt.Sprintf("%s, protocol %d", name, proto), want)
			}
			send("neighbour", "c1", f.container("c2"), step{verdict: redirect})
			send("nobody", "c1", f.parse("172.30.1.99", "fd30:1::99"), step{verdict: next})
			send("another network", "c1", f.container("d1"),
				step{verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_ISOLATED})
			send("neighbour, without ICC", "q1", f.container("q2"),
				step{verdict: drop, hook: atContainer, reason: bpf.VethwayDropReasonDROP_NO_ICC})
		}
	})
}

// Who leaves the network is who it says, shortcut or not, and leaves by the gateway.
func TestBeginsToTheOutside(t *testing.T) {
	bothWays(t, func(t *testing.T, f family) {
		begin := f.from("c1", f.remote(), 5000, 80)
		with := begin.with
		refused := func(name string, in packet, why reason) {
			t.Helper()
			f.run(t, name, step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: drop, hook: atContainer, reason: why})
		}
		refused("a neighbour's address", with(func(p *packet) { p.src = f.container("c2") }), bpf.VethwayDropReasonDROP_SPOOFED_IP)
		refused("nobody's address", with(func(p *packet) { p.src = f.remote() }), bpf.VethwayDropReasonDROP_SPOOFED_IP)
		refused("a neighbour's MAC address", with(func(p *packet) { p.srcMAC = f.containers["c2"].mac }), bpf.VethwayDropReasonDROP_SPOOFED_MAC)
		f.run(t, "for all on the link", step{prog: f.FromContainer, in: with(func(p *packet) { p.dstMAC = broadcast }), ctx: f.at("c1"), verdict: next})
		if f.six {
			local := with(func(p *packet) { p.dst = netip.MustParseAddr("fe80::9") })
			f.run(t, "to a link-local address", step{prog: f.FromContainer, in: local, ctx: f.at("c1"), verdict: next})
		}
		internal := step{prog: f.FromContainer, in: f.from("i1", f.remote(), 5000, 80), ctx: f.at("i1"), verdict: drop, hook: atContainer,
			reason: bpf.VethwayDropReasonDROP_INTERNAL}
		f.run(t, "out of an internal network", internal)
	})
}

// What the host sends to a container goes past the bridge; what is not plain, or not for whom the stack takes it to be, the bridge decides.
func TestShortcutsPastTheBridge(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		c1 := f.containers["c1"]
		plain := f.from("c1", f.gateway("c1"), 5000, 53).answer()
		plain.srcMAC, plain.dstMAC = c1.network.mac, c1.mac
		past := func(t *testing.T, name string, in packet) {
			t.Helper()
			f.run(t, name, step{prog: f.ToBridge, in: in, ctx: f.atBridge("c1", ""), verdict: redirect})
		}
		bridged := func(t *testing.T, name string, in packet, at skBuff) {
			t.Helper()
			f.run(t, name, step{prog: f.ToBridge, in: in, ctx: at, verdict: next})
		}
		with := plain.with
		fragment := with(func(p *packet) { p.frag, p.proto, p.payload = 0x2000, udp, make([]byte, 64) })
		if f.six {
			fragment.headers = []header{{44, []byte{0, 1, 0, 0, 0, 1}}}
		}
		for name, in := range map[string]packet{
			"tcp": plain, "udp": with(func(p *packet) { p.proto = udp }), "ping": f.ping(plain, 7), "fragment": fragment,
			"unknown protocol": with(func(p *packet) { p.proto = 47 }), "TTL 1": with(func(p *packet) { p.ttl = 1 }),
			"large":                      with(func(p *packet) { p.payload = make([]byte, 3000) }),
			"by an address of an uplink": with(func(p *packet) { p.src = f.host() }),
		} {
			past(t, name, in)
		}
		for name, in := range map[string]packet{
			"another MAC":      with(func(p *packet) { p.dstMAC = f.containers["c2"].mac }),
			"everybody's MAC":  with(func(p *packet) { p.dstMAC = broadcast }),
			"nobody's address": with(func(p *packet) { p.dst = f.parse("172.30.1.99", "fd30:1::99") }),
		} {
			bridged(t, name, in, f.atBridge("c1", ""))
		}
		bridged(t, "by another bridge", plain, f.atBridge("d1", ""))
		bridged(t, "bridged", plain, f.atBridge("c1", "c2"))
		f.pastTheBridgeRaw(t, plain)

		own := f.endpointShortcut("c1")
		for name, change := range map[string]func(*bpf.VethwayShortcutValue){
			"it has none":                    func(v *bpf.VethwayShortcutValue) { *v = bpf.VethwayShortcutValue{} },
			"somebody else's place":          func(v *bpf.VethwayShortcutValue) { v.Addr.B[15]++ },
			"another by now":                 func(v *bpf.VethwayShortcutValue) { v.Generation-- },
			"the host's own":                 func(v *bpf.VethwayShortcutValue) { v.Kind = shortcutHost },
			"a daemon that knows no bridges": func(v *bpf.VethwayShortcutValue) { v.Bridge = 0 },
		} {
			v := own
			change(&v)
			f.shortcut(t, f.container("c1"), v)
			bridged(t, name, plain, f.atBridge("c1", ""))
		}
		f.shortcut(t, f.container("c1"), own)
		past(t, "and again", plain)
	})
}

// pastTheBridgeRaw sends what the stack would not: the bridge gets all of it.
func (f family) pastTheBridgeRaw(t *testing.T, plain packet) {
	t.Helper()
	frame := plain.bytes()
	tagged := slices.Concat(frame[:12], []byte{0x81, 0, 0, 5}, frame[12:])
	arp := slices.Concat(frame[:12], []byte{0x08, 0x06}, frame[ethLen:])
	for name, raw := range map[string][]byte{"tagged": tagged, "ARP": arp} {
		f.run(t, name, step{prog: f.ToBridge, raw: raw, ctx: f.atBridge("c1", ""), verdict: next})
	}
	if f.six {
		mapped := plain
		mapped.dst = netip.AddrFrom16(f.containers["c1"].addr4.As16())
		f.run(t, "a mapped address", step{prog: f.ToBridge, raw: mapped.bytes(), ctx: f.atBridge("c1", ""), verdict: next})
	}
}

func (f family) endpointShortcut(name string) bpf.VethwayShortcutValue {
	return f.shortcutTo(name, f.container(name))
}

// shortcutTo is a container's with any address.
func (w *world) shortcutTo(name string, a netip.Addr) bpf.VethwayShortcutValue {
	c := w.containers[name]
	return bpf.VethwayShortcutValue{
		Addr: toAddr(a), Kind: shortcutEndpoint, Ifindex: c.ifindex, Slot: c.slot, Generation: generation,
		Network: c.network.id, Mac: c.mac, Flags: c.network.flags, Bridge: c.network.ifindex, BridgeMac: c.network.mac, Mtu: 1500,
	}
}
