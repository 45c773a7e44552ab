// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// Beside addresses, ports and the TTL nothing of a packet changes.
func TestHeadersStay(t *testing.T) {
	modes(t, func(l lab) {
		remote, c1, c2 := l.newWire("R"), l.newWire("c1"), l.newWire("c2")
		l.families("N19", func(l lab, a family) {
			remote.l, c1.l, c2.l = l, l, l
			const p = 4321
			for _, tc := range []struct {
				name     string
				from, to *wire
				src, dst netip.AddrPort
				arrives  netip.AddrPort // as the destination
				hops     byte
			}{
				{"in", remote, c1, port(a.remote, p), port(a.host, publishedPort), port(a.c1, serverPort), 1},
				{"out", c1, remote, port(a.c1, p), port(a.remote, p), port(a.remote, p), 1},
				{"hairpin", c2, c1, port(a.c2, p), port(a.host, publishedPort), port(a.c1, serverPort), 1},
				// The same network is the same link.
				{"neighbour", c2, c1, port(a.c2, p), port(a.c1, otherPort), port(a.c1, otherPort), 0},
			} {
				sent := marked(netlab.UDPPacket(tc.src, tc.dst, []byte(tc.name)))
				tc.from.send(sent)
				got := tc.to.hear(tc.name, func(ip netlab.IPInfo) bool {
					return ip.Dst == tc.arrives && string(ip.Payload) == tc.name
				})
				l.sameMarks(tc.name, sent, got, tc.hops)
			}
		})
	})
}

// marked gives a packet a DSCP, ECN and, over IPv6, a flow label; over IPv4 an option, and no UDP checksum.
func marked(packet []byte) []byte {
	if packet[0]>>4 == 6 {
		binary.BigEndian.PutUint32(packet, 6<<28|0xba<<20|0xabcde)
		return packet
	}
	packet[1] = 0xba
	// No operation, thrice, and the end of the list (RFC 791).
	out := append(append([]byte{}, packet[:20]...), 1, 1, 1, 0)
	out = append(out, packet[20:]...)
	out[0] = 0x46
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	binary.BigEndian.PutUint16(out[10:], 0)
	binary.BigEndian.PutUint16(out[10:], netlab.Checksum(out[:24]))
	binary.BigEndian.PutUint16(out[24+6:], 0)
	return out
}

func (l lab) sameMarks(what string, sent, got []byte, hops byte) {
	l.Helper()
	ttl := 8
	if sent[0]>>4 == 6 {
		ttl = 7
		if binary.BigEndian.Uint32(got) != binary.BigEndian.Uint32(sent) {
			l.Errorf("%s: traffic class and flow label were %x and are %x", what, sent[:4], got[:4])
		}
	} else {
		if got[0] != sent[0] || got[1] != sent[1] || string(got[20:24]) != string(sent[20:24]) {
			l.Errorf("%s: length, DSCP and options were %x %x and are %x %x", what, sent[:2], sent[20:24], got[:2], got[20:24])
		}
		if sum := netlab.Checksum(got[:24]); sum != 0 {
			l.Errorf("%s: the header's checksum is wrong", what)
		}
		if udp := transport(got); binary.BigEndian.Uint16(udp[6:]) != 0 {
			l.Errorf("%s: a UDP checksum of zero became %x", what, udp[6:8])
		}
	}
	if got[ttl] != sent[ttl]-hops {
		l.Errorf("%s: the TTL was %d and is %d, want %d less", what, sent[ttl], got[ttl], hops)
	}
}

// A packet that has no more hops to go is answered by the gateway, though the host does not forward.
func TestTTLRunsOut(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	w, c1 := l.newWire("R"), l.newWire("c1")
	l.families("N19", func(l lab, a family) {
		w.l, c1.l = l, l
		timeExceeded := byte(11)
		if a.host.Is6() {
			timeExceeded = 3
		}
		for _, from := range []string{"c1", "c2"} {
			_, err := netlab.Ping(l.Context(), l.at(from), a.remote, netlab.PingOptions{ID: 9, TTL: 1})
			var answer *netlab.ICMPError
			if !errors.As(err, &answer) || answer.Type != timeExceeded || answer.From != a.gateway1 {
				l.Errorf("a ping of %s with TTL 1: %v, want time exceeded by the gateway", from, err)
			}
			if _, err := netlab.Ping(l.Context(), l.at(from), a.remote, netlab.PingOptions{ID: 9, TTL: 2}); err != nil {
				l.Errorf("a ping with TTL 2: %v", err)
			}
		}
		src, dst := port(a.remote, 4322), port(a.host, publishedPort)
		for _, ttl := range []byte{2, 1} {
			packet := withTTL(netlab.UDPPacket(src, dst, []byte{ttl}), ttl)
			w.send(packet)
			if ttl == 2 {
				c1.hear("a packet with TTL 2", func(ip netlab.IPInfo) bool { return ip.Src == src && ip.TTL == 1 })
				continue
			}
			if got := c1.all(silence, func(ip netlab.IPInfo) bool { return ip.Src == src }); len(got) > 0 {
				l.Errorf("a packet with TTL 1 arrived: %+v", got)
			}
			answer := w.hear("time exceeded", func(ip netlab.IPInfo) bool {
				return ip.Src.Addr() == a.host && (ip.Proto == netlab.ProtoICMP || ip.Proto == netlab.ProtoICMPv6) && ip.Payload[0] == timeExceeded
			})
			quoted, ok := netlab.ParseIP(transport(answer)[8:])
			if !ok || quoted.Src != src || quoted.Dst != dst {
				l.Errorf("it quotes a packet from %s to %s, which R did not send", quoted.Src, quoted.Dst)
			}
		}
	})
}

func withTTL(packet []byte, ttl byte) []byte {
	if packet[0]>>4 == 6 {
		packet[7] = ttl
		return packet
	}
	packet[8] = ttl
	binary.BigEndian.PutUint16(packet[10:], 0)
	binary.BigEndian.PutUint16(packet[10:], netlab.Checksum(packet[:20]))
	return packet
}

// A container that sends too much for the uplink is told so by its gateway, though the host does not forward, and finds its way.
func TestUplinkIsNarrow(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	const narrow = 1400
	topo := newHost(t)
	l := newLabOn(t, topo, rivals.CommonSpec())
	l.must(topo.Host.SetMTU("eth0", narrow))
	l.families("N09", func(l lab, a family) {
		header, tooBig, code := 28, byte(3), byte(4)
		if a.host.Is6() {
			header, tooBig, code = 48, 2, 0
		}
		big := netlab.PingOptions{ID: 77, Size: 1500 - header, DF: true, Timeout: time.Second}
		l.eventually("the uplink is known to be narrow", func() error {
			_, err := netlab.Ping(l.Context(), l.at("c1"), a.remote, big)
			var answer *netlab.ICMPError
			if !errors.As(err, &answer) || answer.Type != tooBig || answer.Code != code || answer.From != a.gateway1 || answer.Info != narrow {
				return fmt.Errorf("a ping of 1500 bytes: %w, want to hear of %d from the gateway", err, narrow)
			}
			return nil
		})
		l.streamArrives(a)
		l.datagramArrives(a)
	})
}

// streamArrives sends segments larger than the narrowest link, until c2 has been told.
func (l lab) streamArrives(a family) {
	l.Helper()
	const size = 256 << 10
	listener, err := l.at("R").Listen(l.Context(), port(a.remote, bulkPort))
	l.must(err)
	defer listener.Close()
	conn, err := l.at("c2").DialFrom(l.Context(), "tcp", netip.AddrPort{}, port(a.remote, bulkPort))
	l.must(err)
	defer conn.Close()
	server, err := listener.Accept()
	l.must(err)
	defer server.Close()
	deadline := time.Now().Add(10 * time.Second)
	l.must(errors.Join(conn.SetDeadline(deadline), server.SetDeadline(deadline)))
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(make([]byte, size))
		sent <- err
	}()
	_, err = io.ReadFull(server, make([]byte, size))
	l.must(errors.Join(err, <-sent))
}

// datagramArrives sends a datagram in fragments as the narrowest link wants them, once d1 has been told.
func (l lab) datagramArrives(a family) {
	l.Helper()
	server, err := l.at("R").ListenPacket(l.Context(), port(a.remote, bulkPort))
	l.must(err)
	defer server.Close()
	conn, err := l.at("d1").DialFrom(l.Context(), "udp", netip.AddrPort{}, port(a.remote, bulkPort))
	l.must(err)
	defer conn.Close()
	l.eventually("a large datagram arrives", func() error {
		if _, err := conn.Write(make([]byte, 4000)); err != nil {
			return err // of the one before
		}
		l.must(server.SetReadDeadline(time.Now().Add(2 * silence)))
		n, _, err := server.ReadFromUDPAddrPort(make([]byte, 5000))
		if err == nil && n != 4000 {
			err = fmt.Errorf("%d bytes", n)
		}
		return err
	})
}
