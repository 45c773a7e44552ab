// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

const (
	tcRedirect = 7
	tcNext     = 0xffffffff
)

func TestProgram(t *testing.T) {
	behaviour.NeedRoot(t)
	remote4, remote6 := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8:2::3")
	own4 := netip.MustParseAddr("172.30.2.2")
	inside4, inside6 := netip.MustParseAddr("172.30.1.2"), netip.MustParseAddr("fd30:1::2")
	source, neighbor := net.HardwareAddr{2, 1, 2, 3, 4, 5}, net.HardwareAddr{2, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5}
	code, err := program([]Route{
		{To: remote4, Device: 1, Source: source, Neighbor: neighbor}, {To: remote6, Device: 1, Source: source, Neighbor: neighbor},
		{To: inside4, Veth: 1}, {To: inside6, Veth: 1},
		{To: own4, Device: 1}, // from the host itself
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, Instructions: code, License: "Dual BSD/GPL",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	to, from := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	for _, tc := range []struct {
		dst     string
		verdict uint32
		out     bool
	}{
		{"192.0.2.3", tcRedirect, true},
		{"2001:db8:2::3", tcRedirect, true},
		{"172.30.1.2", tcRedirect, false},
		{"fd30:1::2", tcRedirect, false},
		{"172.30.2.2", tcRedirect, false},
		{"172.30.1.3", tcNext, false},
		{"fd30:1::3", tcNext, false},
		{"fd30:2::2", tcNext, false}, // differs in the first half alone
	} {
		dst := netip.MustParseAddr(tc.dst)
		src := netip.MustParseAddr("198.51.100.1")
		if dst.Is6() {
			src = netip.MustParseAddr("2001:db8::1")
		}
		frame := netlab.IPFrame(to, from, netlab.UDPPacket(netip.AddrPortFrom(src, 1), netip.AddrPortFrom(dst, 2), []byte("what it says")))
		want := bytes.Clone(frame)
		if tc.out {
			copy(want, neighbor)
			copy(want[macLength:], source)
		}
		verdict, got, err := p.Test(frame)
		if err != nil {
			t.Fatal(err)
		}
		if verdict != tc.verdict || !bytes.Equal(got, want) {
			t.Errorf("to %s: verdict %d, packet %x, want %d, %x", tc.dst, verdict, got, tc.verdict, want)
		}
	}
}

func TestRouteWithoutNextHop(t *testing.T) {
	for _, route := range []Route{{}, {Device: 1, Source: make(net.HardwareAddr, macLength)}, {Source: make(net.HardwareAddr, macLength)}} {
		route.To = netip.MustParseAddr("192.0.2.3")
		if _, err := program([]Route{route}); err == nil {
			t.Errorf("a route out of an interface without MAC addresses: %+v", route)
		}
	}
}
