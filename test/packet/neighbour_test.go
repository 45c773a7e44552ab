// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// arp is an ARP packet for IPv4 over Ethernet.
func arp(op byte, senderMAC mac, sender netip.Addr, target netip.Addr) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, op}, senderMAC[:], sender.AsSlice(), make([]byte, 6), target.AsSlice())
}

var broadcast = mac{255, 255, 255, 255, 255, 255}

func TestARP(t *testing.T) {
	inLab(t, "ipv4", func(t *testing.T, l *lab) {
		f := family{world: newWorld(t, l, knobs{})}
		own, other := l.containers["c1"].mac, l.containers["c2"].mac
		addr, theirs, none := f.container("c1"), f.container("c2"), netip.IPv4Unspecified()
		for _, c := range []struct {
			name   string
			src    mac
			body   []byte
			reason reason
		}{
			{"request", own, arp(1, own, addr, theirs), 0},
			{"reply", own, arp(2, own, addr, theirs), 0},
			{"announcement", own, arp(1, own, addr, addr), 0},
			{"probe", own, arp(1, own, none, addr), 0},
			{"a neighbour's address", own, arp(2, own, theirs, addr), bpf.VethwayDropReasonDROP_SPOOFED_ARP},
			{"the gateway's address", own, arp(2, own, f.gateway("c1"), theirs), bpf.VethwayDropReasonDROP_SPOOFED_ARP},
			{"a neighbour's MAC inside", own, arp(2, other, addr, theirs), bpf.VethwayDropReasonDROP_SPOOFED_ARP},
			{"a neighbour's MAC outside", other, arp(2, own, addr, theirs), bpf.VethwayDropReasonDROP_SPOOFED_MAC},
			{"cut off", own, arp(2, own, addr, theirs)[:27], bpf.VethwayDropReasonDROP_MALFORMED},
		} {
			s := step{prog: f.FromContainer, raw: slices.Concat(ethernet(broadcast, c.src, etherARP), c.body), ctx: f.at("c1"), verdict: next}
			if c.reason != 0 {
				s.verdict, s.hook, s.reason = drop, atContainer, c.reason
			}
			f.run(t, c.name, s)
		}
	})
}

// neighbourDiscovery is an ICMPv6 message with the hop limit that makes it valid.
func neighbourDiscovery(kind byte, src, dst netip.Addr, body []byte) packet {
	return packet{src: src, dst: dst, ttl: 255, proto: icm6, kind: kind, payload: body, dstMAC: mac{0x33, 0x33, 0, 0, 0, 1}}
}

func TestNeighbourDiscovery(t *testing.T) {
	inLab(t, "ipv6", func(t *testing.T, l *lab) {
		f := family{world: newWorld(t, l, knobs{}), six: true}
		addr, theirs, none := f.container("c1"), f.container("c2"), netip.IPv6Unspecified()
		local, all := netip.MustParseAddr("fe80::2"), netip.MustParseAddr("ff02::1")
		router := make([]byte, 8)
		for _, c := range []struct {
			name   string
			in     packet
			reason reason
		}{
			{"solicitation", neighbourDiscovery(135, addr, all, theirs.AsSlice()), 0},
			{"solicitation from link-local", neighbourDiscovery(135, local, all, theirs.AsSlice()), 0},
			{"duplicate address detection", neighbourDiscovery(135, none, all, addr.AsSlice()), 0},
			{"advertisement", neighbourDiscovery(136, addr, all, addr.AsSlice()), 0},
			{"advertisement of link-local", neighbourDiscovery(136, local, all, local.AsSlice()), 0},
			{"router solicitation", neighbourDiscovery(133, local, all, nil), 0},
			{"multicast listener report", neighbourDiscovery(143, local, netip.MustParseAddr("ff02::16"), router), 0},
			{"a neighbour's address", neighbourDiscovery(136, addr, all, theirs.AsSlice()), bpf.VethwayDropReasonDROP_SPOOFED_ARP},
			{"the gateway's address", neighbourDiscovery(136, local, all, f.gateway("c1").AsSlice()), bpf.VethwayDropReasonDROP_SPOOFED_ARP},
			{"from a neighbour's address", neighbourDiscovery(135, theirs, all, addr.AsSlice()), bpf.VethwayDropReasonDROP_SPOOFED_IP},
			{"router advertisement", neighbourDiscovery(134, local, all, router), bpf.VethwayDropReasonDROP_ROUTER_ADVERT},
			{"router advertisement to one", neighbourDiscovery(134, local, theirs, router), bpf.VethwayDropReasonDROP_ROUTER_ADVERT},
			{"redirect", neighbourDiscovery(137, local, all, make([]byte, 32)), bpf.VethwayDropReasonDROP_ROUTER_ADVERT},
			{"cut off", neighbourDiscovery(136, local, all, local.AsSlice()[:15]), bpf.VethwayDropReasonDROP_MALFORMED},
		} {
			f.discovery(t, c.name, c.in, c.reason)
		}
	})
}

func (f family) discovery(t *testing.T, name string, in packet, why reason) {
	t.Helper()
	in.srcMAC = f.containers["c1"].mac
	s := step{prog: f.FromContainer, in: in, ctx: f.at("c1"), verdict: next}
	if why != 0 {
		s.verdict, s.hook, s.reason = drop, atContainer, why
	}
	f.run(t, name, s)
}

// Extension headers do not hide a router's message (RFC 7113).
func TestRouterAdvertisementBehindHeaders(t *testing.T) {
	inLab(t, "ipv6", func(t *testing.T, l *lab) {
		f := family{world: newWorld(t, l, knobs{}), six: true}
		ra := neighbourDiscovery(134, netip.MustParseAddr("fe80::2"), netip.MustParseAddr("ff02::1"), make([]byte, 8))
		options := header{60, []byte{1, 4, 0, 0, 0, 0}}
		for _, c := range []struct {
			name    string
			headers []header
		}{
			{"options", []header{options}},
			{"hop by hop", []header{{0, []byte{1, 4, 0, 0, 0, 0}}}},
			{"long options", []header{{60, append([]byte{1, 20}, make([]byte, 20)...)}}},
			{"four headers", []header{options, options, options, options}},
			{"five headers", []header{options, options, options, options, options}},
			{"routing", []header{{43, []byte{4, 0, 0, 0, 0, 0}}}},
			{"routing behind options", []header{options, {43, []byte{4, 0, 0, 0, 0, 0}}}},
			{"mobility", []header{{135, []byte{0, 0, 0, 0, 0, 0}}}},
		} {
			in := ra
			in.headers = c.headers
			in.srcMAC = f.containers["c1"].mac
			r, err := run(f.FromContainer, in.bytes(), f.at("c1"))
			check(t, err)
			if r.verdict != drop {
				t.Errorf("%s: verdict %s", c.name, verdictName(r.verdict))
			}
		}
		// What is no message of a router's passes, whatever its headers.
		plain := f.from("c1", f.container("c2"), 5000, 80)
		plain.headers = []header{{43, []byte{4, 0, 0, 0, 0, 0}}}
		out := plain
		out.dstMAC = f.containers["c2"].mac
		f.run(t, "routing header to a neighbour", step{prog: f.FromContainer, in: plain, ctx: f.at("c1"), verdict: redirect, out: &out})
	})
}

// TestGuardLetsNeighboursIn: whoever is on the deny list, neighbours still find each other, and the router. From farther away, nobody can pretend
// to be one.
func TestGuardLetsNeighboursIn(t *testing.T) {
	inLab(t, "ipv6", func(t *testing.T, l *lab) {
		f := family{world: newWorld(t, l, knobs{}), six: true}
		router := netip.MustParseAddr("fe80::1")
		f.deny(t, netip.MustParsePrefix("fe80::/10"))
		f.guard(t, bpf.VethwayGuardValue{Flags: uint32(maps.GuardDenied)})
		for _, post := range f.guardPosts() {
			for _, kind := range []byte{133, 134, 135, 136} {
				nd := neighbourDiscovery(kind, router, netip.MustParseAddr("ff02::1"), f.host().AsSlice())
				f.watch(t, post, guardCase{name: fmt.Sprintf("type %d", kind), in: nd})
				nd.ttl = 254
				f.watch(t, post, guardCase{name: fmt.Sprintf("type %d, forwarded", kind), in: nd, reason: bpf.VethwayDropReasonDROP_DENIED})
			}
			for _, kind := range []byte{128, 132, 137} {
				other := neighbourDiscovery(kind, router, netip.MustParseAddr("ff02::1"), f.host().AsSlice())
				f.watch(t, post, guardCase{name: fmt.Sprintf("type %d", kind), in: other, reason: bpf.VethwayDropReasonDROP_DENIED})
			}
		}
	})
}
