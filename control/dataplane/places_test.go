// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

func placesForTest() places {
	p := placesOf(&control.DataplaneState{Networks: []control.DataplaneNetwork{
		{ID: 1, Subnets: []netip.Prefix{netip.MustParsePrefix("172.30.0.0/16"), netip.MustParsePrefix("fd00::/48")}},
		{ID: 2, Subnets: []netip.Prefix{netip.MustParsePrefix("172.30.7.0/24"), netip.MustParsePrefix("fd00:0:0:7::/64")}},
		{ID: 3, Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	}})
	p.endpoints = map[netip.Addr]maps.Endpoint{netip.MustParseAddr("172.30.7.2"): {Index: 11, Slot: 100}}
	return p
}

func TestNetworkAt(t *testing.T) {
	p := placesForTest()
	for addr, want := range map[string]uint16{
		"172.30.6.255": 1, "172.30.7.0": 2, "172.30.7.255": 2, "172.30.8.0": 1, "172.31.0.0": 0, "10.255.255.255": 3, "11.0.0.0": 0,
		"fd00:0:0:6::1": 1, "fd00:0:0:7::1": 2, "fd00:0:1::1": 0, "::ffff:10.0.0.1": 0, "::": 0,
	} {
		if got := p.networkAt(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is of network %d, want %d", addr, got, want)
		}
	}
	nothing := placesOf(&control.DataplaneState{})
	if got := nothing.networkAt(netip.MustParseAddr("10.0.0.1")); got != 0 {
		t.Errorf("without networks: %d", got)
	}
}

// TestNetworkAndOwner: what an entry does not say of itself.
func TestNetworkAndOwner(t *testing.T) {
	const (
		nat, reply, byStack, retired = maps.FlowNATSource, maps.FlowReply, maps.FlowByStack, maps.FlowRetired
		toStack, toPeer, toUplink    = 0, 1, maps.FlowToUplink
		inside, other                = "172.30.7.2:5000", "10.0.0.9:80" // of networks 2 and 3
		host, remote                 = "192.0.2.2:20000", "192.0.2.3:80"
	)
	p := placesForTest()
	for _, tc := range []struct {
		what           string
		kind           maps.FlowKind
		flags          maps.FlowFlags
		action         uint8
		iif            uint32
		src, dst       string // of the key
		newSrc, newDst string
		network        uint16
		owner          uint32
	}{
		{"masquerade", maps.FlowMasquerade, nat, toUplink, 11, inside, remote, host, remote, 2, 7},
		{"masquerade, reply", maps.FlowMasquerade, reply, toPeer, 0, remote, host, remote, inside, 2, 0},
		{"masquerade, retired", maps.FlowMasquerade, reply | retired, toPeer, 0, remote, host, remote, inside, 2, 0},
		{"masquerade by the stack", maps.FlowMasquerade, nat | byStack, toStack, 0, inside, remote, host, remote, 2, 0},
		{"masquerade by the stack, reply", maps.FlowMasquerade, nat | byStack | reply, toStack, 0, remote, host, remote, inside, 2, 0},
		{"to a mapping", maps.FlowMasquerade, 0, toPeer, 0, remote, host, remote, inside, 2, 0},
		{"to a mapping, reply", maps.FlowMasquerade, reply, toUplink, 11, inside, remote, host, remote, 2, 0},
		{"routed", maps.FlowRouted, 0, toUplink, 11, inside, remote, inside, remote, 2, 7},
		{"routed, reply", maps.FlowRouted, reply, toPeer, 0, remote, inside, remote, inside, 2, 0},
		{"published", maps.FlowPublished, 0, toPeer, 0, remote, host, remote, inside, 2, 0},
		{"published, reply", maps.FlowPublished, reply, toUplink, 11, inside, remote, host, remote, 2, 0},
		{"hairpin", maps.FlowHairpin, 0, toPeer, 11, inside, host, inside, other, 3, 100},
		{"hairpin, reply", maps.FlowHairpin, reply, toPeer, 12, other, inside, host, inside, 3, 0},
		{"hairpin of who is gone", maps.FlowHairpin, 0, toPeer, 12, "172.30.7.3:1", host, "172.30.7.3:1", other, 3, 0},
		{"hairpin of who had the address before", maps.FlowHairpin, 0, toPeer, 12, inside, host, inside, other, 3, 0},
		{"the host's own", maps.FlowHost, nat | byStack, toStack, 0, host, remote, host, remote, 0, 0},
		{"of a network that is gone", maps.FlowMasquerade, nat, toUplink, 11, "172.29.0.2:1", remote, host, remote, 0, 7},
	} {
		at := netip.MustParseAddrPort
		key := maps.FlowKey{Src: at(tc.src), Dst: at(tc.dst), Proto: 17}
		flow := maps.Flow{Src: at(tc.newSrc), Dst: at(tc.newDst), Kind: tc.kind, Flags: tc.flags, Action: tc.action, Iif: tc.iif, Slot: 7}
		if network, owner := p.network(&key, &flow), p.owner(&key, &flow); network != tc.network || owner != tc.owner {
			t.Errorf("%s: network %d, owner %d, want %d and %d", tc.what, network, owner, tc.network, tc.owner)
		}
	}
}

// BenchmarkNetworkAt is what a scan does for every entry where some network has timeouts of its own.
func BenchmarkNetworkAt(b *testing.B) {
	var want control.DataplaneState
	for i := range 400 {
		want.Networks = append(want.Networks, control.DataplaneNetwork{ID: uint32(i + 1), Subnets: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i/256), byte(i), 0}), 24),
		}})
	}
	p, addr := placesOf(&want), netip.MustParseAddr("172.17.3.9")
	for b.Loop() {
		if p.networkAt(addr) == 0 {
			b.Fatal("it is of none")
		}
	}
}
