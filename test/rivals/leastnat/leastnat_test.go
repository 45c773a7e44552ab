// SPDX-License-Identifier: Apache-2.0

package leastnat

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals/redirect"
)

const (
	tcRedirect = 7
	tcNothing  = 0xffffffff
)

var (
	remoteMAC, hostMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	guestMAC           = net.HardwareAddr{2, 0, 0, 0, 0, 3}
)

// host is two programs that share tables: one for the uplink, one for the veth
// of a container with both a published port and a way out.
func host(t *testing.T, remote, own, guest netip.Addr) (uplink, veth *ebpf.Program, n *NAT) {
	t.Helper()
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	var published []Published
	for _, proto := range []uint8{protoTCP, protoUDP} {
		published = append(published, Published{
			Proto: proto, Host: netip.AddrPortFrom(own, 8080), Target: netip.AddrPortFrom(guest, 80), Veth: 1,
		})
	}
	load := func(r Rules) *ebpf.Program {
		code, err := n.program(r)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, Instructions: code, License: "Dual BSD/GPL",
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	return load(Rules{Published: published}), load(Rules{
		Neighbors:  []redirect.Route{{To: guest.Next(), Veth: 1}},
		Masquerade: []Masqueraded{{To: remote, As: own, Veth: 1}},
		Out:        &redirect.Route{To: remote, Device: 1, Source: hostMAC, Neighbor: remoteMAC},
	}), n
}

// packet is one with its whole checksum, as a generator sends it.
func packet(proto uint8, from, to netip.AddrPort, flags uint8) []byte {
	if proto == protoTCP {
		return netlab.TCPPacket(from, to, flags, 7, 9, []byte("what it says"))
	}
	return netlab.UDPPacket(from, to, []byte("what it says"))
}

const syn, ack = netlab.SYN, netlab.ACK

// Both ways of a published port and of a container's way out: what comes out is
// byte for byte what the other side would have sent with the other addresses.
func TestTranslates(t *testing.T) {
	behaviour.NeedRoot(t)
	for name, a := range map[string][3]string{
		"ipv4": {"192.0.2.3", "192.0.2.2", "172.30.1.2"}, "ipv6": {"2001:db8:2::3", "2001:db8:2::2", "fd30:1::2"},
	} {
		remote, own, guest := netip.MustParseAddr(a[0]), netip.MustParseAddr(a[1]), netip.MustParseAddr(a[2])
		uplink, veth, n := host(t, remote, own, guest)
		client, service := netip.AddrPortFrom(remote, 40000), netip.AddrPortFrom(remote, 9000)
		port, inner := netip.AddrPortFrom(own, 8080), netip.AddrPortFrom(guest, 80)
		asker, asked := netip.AddrPortFrom(guest, 50000), netip.AddrPortFrom(own, 50000)
		for _, proto := range []uint8{protoTCP, protoUDP} {
			for _, step := range []struct {
				what              string
				by                *ebpf.Program
				from, to          netip.AddrPort
				flags             uint8
				nowFrom, nowTo    netip.AddrPort
				inwards, nowThere bool
			}{
				{"the first to the port", uplink, client, port, syn, client, inner, true, true},
				{"its answer", veth, inner, client, syn | ack, port, client, false, true},
				{"the next to the port", uplink, client, port, ack, client, inner, true, true},
				{"the first out", veth, asker, service, syn, asked, service, false, true},
				{"its answer back", uplink, service, asked, syn | ack, service, asker, true, true},
				{"the next out", veth, asker, service, ack, asked, service, false, true},
			} {
				in, out := [2]net.HardwareAddr{hostMAC, remoteMAC}, [2]net.HardwareAddr{remoteMAC, hostMAC}
				if step.by == veth {
					in = [2]net.HardwareAddr{hostMAC, guestMAC}
				}
				if step.inwards {
					out = in
				}
				verdict, got, err := step.by.Test(netlab.IPFrame(in[0], in[1], packet(proto, step.from, step.to, step.flags)))
				if err != nil {
					t.Fatal(err)
				}
				want := netlab.IPFrame(out[0], out[1], packet(proto, step.nowFrom, step.nowTo, step.flags))
				if verdict != tcRedirect || !bytes.Equal(got, want) {
					t.Errorf("%s, protocol %d, %s: verdict %d, packet\n%x, want\n%x", name, proto, step.what, verdict, got, want)
				}
			}
		}
		if flows, err := n.Flows(); err != nil || flows != 4 {
			t.Errorf("%s: %d flows, %v, want 4", name, flows, err)
		}
	}
}

// What no rule is about, the programs leave alone, and keep nothing of it.
func TestLeavesAlone(t *testing.T) {
	behaviour.NeedRoot(t)
	remote, own, guest := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("172.30.1.2")
	uplink, veth, n := host(t, remote, own, guest)
	client := netip.AddrPortFrom(remote, 40000)
	options := packet(protoUDP, client, netip.AddrPortFrom(own, 8080), 0)
	options[0]++ // a longer header
	for name, tc := range map[string]struct {
		by      *ebpf.Program
		packet  []byte
		verdict uint32
	}{
		"another port":         {uplink, packet(protoUDP, client, netip.AddrPortFrom(own, 8081), 0), tcNothing},
		"another address":      {uplink, packet(protoUDP, client, netip.AddrPortFrom(own.Next().Next(), 8080), 0), tcNothing},
		"options":              {uplink, options, tcNothing},
		"a ping":               {uplink, netlab.EchoPacket(remote, own, 1, 1, nil), tcNothing},
		"a ping out":           {veth, netlab.EchoPacket(guest, remote, 1, 1, nil), tcShot},
		"a ping elsewhere":     {veth, netlab.EchoPacket(guest, own, 1, 1, nil), tcNothing},
		"elsewhere":            {veth, packet(protoUDP, netip.AddrPortFrom(guest, 1), netip.MustParseAddrPort("203.0.113.1:53"), 0), tcNothing},
		"no beginning":         {uplink, packet(protoTCP, client, netip.AddrPortFrom(own, 8080), ack), tcShot},
		"no beginning, out":    {veth, packet(protoTCP, netip.AddrPortFrom(guest, 1), netip.AddrPortFrom(remote, 9), syn|ack), tcShot},
		"to a neighbour, kept": {veth, packet(protoTCP, netip.AddrPortFrom(guest, 1), netip.AddrPortFrom(guest.Next(), 9), syn), tcRedirect},
	} {
		frame := netlab.IPFrame(hostMAC, guestMAC, tc.packet)
		verdict, got, err := tc.by.Test(frame)
		if err != nil {
			t.Fatal(err)
		}
		if verdict != tc.verdict || !bytes.Equal(got, frame) {
			t.Errorf("%s: verdict %d, packet\n%x, want %d,\n%x", name, verdict, got, tc.verdict, frame)
		}
	}
	if flows, err := n.Flows(); err != nil || flows != 0 {
		t.Errorf("%d flows, %v", flows, err)
	}
}

// The reverse entry of a second container's flow is there already: no two flows
// may get one answer.
func TestClash(t *testing.T) {
	behaviour.NeedRoot(t)
	remote, own, guest := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("172.30.1.2")
	_, veth, n := host(t, remote, own, guest)
	for i, want := range []uint32{tcRedirect, tcShot} {
		for range i {
			guest = guest.Next().Next()
		}
		frame := netlab.IPFrame(hostMAC, guestMAC, packet(protoUDP, netip.AddrPortFrom(guest, 5), netip.AddrPortFrom(remote, 9), 0))
		if verdict, _, err := veth.Test(frame); err != nil || verdict != want {
			t.Errorf("from %s: verdict %d, %v, want %d", guest, verdict, err, want)
		}
	}
	if flows, err := n.Flows(); err != nil || flows != 1 {
		t.Errorf("%d flows, %v, want 1", flows, err)
	}
}
