// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
)

func TestPing(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	for _, to := range []netip.Addr{topo.Host4, topo.Host6} {
		reply, err := Ping(t.Context(), topo.Remote, to, PingOptions{ID: 4711, Seq: 3})
		if err != nil {
			t.Fatal(err)
		}
		if reply.From != to || reply.ID != 4711 || reply.Seq != 3 {
			t.Errorf("reply %+v", reply)
		}
	}
}

func TestPingReturnsICMPErrors(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	fb, err := topo.AddForeignBridge()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(topo.Host.SetSysctl("net.ipv4.ip_forward", "1"), topo.Host.SetSysctl("net.ipv6.conf.all.forwarding", "1")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		to, gateway netip.Addr
		kind        uint8
	}{
		{topo.Remote4, fb.Addr4, icmpTimeExceeded},
		{topo.Remote6, fb.Addr6, icmp6TimeExceeded},
	} {
		_, err := Ping(t.Context(), fb.Guest, tc.to, PingOptions{ID: 1, TTL: 1})
		var icmp *ICMPError
		if !errors.As(err, &icmp) || icmp.Type != tc.kind || icmp.From != tc.gateway {
			t.Errorf("ping %s with a TTL of 1: %v", tc.to, err)
		}
	}
}

func TestStream(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	s := MustWhoami(t, topo.Host, 8080)
	for _, network := range []string{"tcp", "udp"} {
		stream, err := OpenStream(t.Context(), topo.Remote, network, netip.AddrPortFrom(topo.Host6, 8080), StreamConfig{Interval: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if stream.Seen().Peer.Addr() != topo.Remote6 {
			t.Errorf("%s: %s", network, stream.Seen())
		}
		time.Sleep(50 * time.Millisecond)
		report, err := stream.Close()
		if err != nil {
			t.Errorf("%s: %v", network, err)
		}
		if report.Exchanges < 5 || report.Bytes != report.Exchanges*1024 {
			t.Errorf("%s: %+v", network, report)
		}
	}
	stream, err := OpenStream(t.Context(), topo.Remote, "tcp", netip.AddrPortFrom(topo.Host4, 8080), StreamConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	select {
	case <-stream.Broken():
	case <-time.After(5 * time.Second):
		t.Error("the server ended, and the stream did not break")
	}
	if _, err := stream.Close(); err == nil {
		t.Error("a broken stream reports no error")
	}
}

func TestStreamNoticesLoss(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	MustWhoami(t, topo.Host, 8080)
	stream, err := OpenStream(t.Context(), topo.Remote, "udp", netip.AddrPortFrom(topo.Host4, 8080), StreamConfig{Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := topo.Host.SetDown("eth0"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if report, err := stream.Close(); err == nil || report.Lost == 0 {
		t.Errorf("with the link down: %+v, %v", report, err)
	}
}

func TestFrames(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	out, err := OpenPacket(topo.Remote, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := OpenPacket(topo.Host, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, to := range []netip.Addr{topo.Host4, topo.Host6} {
		src, dst := netip.AddrPortFrom(topo.RemoteAddr(to), 1000), netip.AddrPortFrom(to, 2000)
		for _, packet := range [][]byte{
			UDPPacket(src, dst, []byte("hello")),
			TCPPacket(src, dst, SYN, 1, 0, nil),
			EchoPacket(src.Addr(), dst.Addr(), 7, 1, []byte("hello")),
		} {
			frame := IPFrame(in.MAC(), out.MAC(), packet)
			if err := out.Send(frame); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			got, err := in.Sniff(ctx, func(f Frame) bool { return !f.Outgoing && bytes.Equal(f.Data, frame) })
			if err != nil {
				t.Fatal(err)
			}
			if info, ok := got.IP(); !ok || info.Src.Addr() != src.Addr() || info.Dst.Addr() != dst.Addr() || info.TTL != 64 {
				t.Errorf("parsed %+v, %v", info, ok)
			}
			// The stack answers, so the checksums are good: RST to the SYN, a
			// reply to the echo, port unreachable to the datagram.
			if _, err = in.Sniff(ctx, func(f Frame) bool {
				info, ok := f.IP()
				return ok && f.Outgoing && info.Dst.Addr() == src.Addr() && (info.Proto != ProtoICMPv6 || info.Payload[0] < 133)
			}); err != nil {
				t.Errorf("no answer to %x: %v", packet, err)
			}
			cancel()
		}
	}
}

// A burst waits whole for a test that is not scheduled.
func TestPacketSocketHoldsABurst(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	out, err := OpenPacket(topo.Remote, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := OpenPacket(topo.Host, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	const burst = 1000
	src := netip.AddrPortFrom(topo.Remote4, 1000)
	for i := range uint16(burst) {
		if err := out.Send(IPFrame(in.MAC(), out.MAC(), UDPPacket(src, netip.AddrPortFrom(topo.Host4, 2000+i), []byte("burst")))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for i := range burst {
		_, err := in.Sniff(ctx, func(f Frame) bool {
			info, ok := f.IP()
			return ok && !f.Outgoing && string(info.Payload) == "burst"
		})
		if err != nil {
			t.Fatalf("%d of %d came: %v", i, burst, err)
		}
	}
}

func TestTun(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	topo := Must(t, Config{})
	tun, err := topo.AddTun()
	if err != nil {
		t.Fatal(err)
	}
	MustWhoami(t, topo.Host, 8080)
	for _, tc := range []struct{ client, server netip.AddrPort }{
		{netip.MustParseAddrPort("10.8.0.2:1000"), netip.AddrPortFrom(topo.Host4, 8080)},
		{netip.MustParseAddrPort("[fd08::2]:1000"), netip.AddrPortFrom(topo.Host6, 8080)},
	} {
		if err := tun.Inject(UDPPacket(tc.client, tc.server, []byte("ping"))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		got, err := tun.Receive(ctx, func(p []byte) bool {
			info, ok := ParseIP(p)
			return ok && info.Dst == tc.client
		})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := ParseIP(got); info.Src != tc.server || string(info.Payload) != "ping" {
			t.Errorf("got %+v", info)
		}
	}
}
