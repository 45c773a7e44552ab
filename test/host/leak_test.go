// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// private tells addresses that mean nothing outside of the host.
func private(a netip.Addr) bool {
	return prefix("172.16.0.0/12").Contains(a) || prefix("10.0.0.0/8").Contains(a) || prefix("fd00::/8").Contains(a) || a.IsLoopback()
}

// leaks are packets that no container address may leave the host by, whatever becomes of them.
func leaks(a family) map[string][]byte {
	src, dst := port(a.c1, 4400), port(a.remote, remotePort+7)
	alone := port(a.c1, 4410) // nothing begins a flow from here
	all := map[string][]byte{
		"RST without a flow":        netlab.TCPPacket(alone, dst, netlab.RST, 7, 0, nil),
		"FIN without a flow":        netlab.TCPPacket(alone, dst, netlab.FIN|netlab.ACK, 7, 9, nil),
		"ACK without a flow":        netlab.TCPPacket(src, dst, netlab.ACK, 7, 9, nil),
		"SYN and ACK":               netlab.TCPPacket(src, dst, netlab.SYN|netlab.ACK, 7, 9, nil),
		"no TCP flag":               netlab.TCPPacket(src, dst, 0, 7, 9, nil),
		"SYN":                       netlab.TCPPacket(src, dst, netlab.SYN, 7, 0, nil),
		"datagram":                  netlab.UDPPacket(src, dst, []byte("x")),
		"echo request":              netlab.EchoPacket(a.c1, a.remote, 3, 1, []byte("x")),
		"a neighbour's source":      netlab.UDPPacket(port(a.c2, 1), dst, []byte("x")),
		"a source of no container":  netlab.UDPPacket(port(a.c2.Next(), 1), dst, []byte("x")),
		"another network's source":  netlab.UDPPacket(port(a.d1, 1), dst, []byte("x")),
		"the gateway's source":      netlab.UDPPacket(port(a.gateway1, 1), dst, []byte("x")),
		"the host's source":         netlab.UDPPacket(port(a.host, 1), dst, []byte("x")),
		"the loopback's source":     netlab.UDPPacket(port(a.loopback, 1), dst, []byte("x")),
		"TTL 1":                     withTTL(netlab.UDPPacket(src, dst, []byte("x")), 1),
		"datagram cut short":        netlab.IPPacket(a.c1, a.remote, netlab.ProtoUDP, []byte{1, 2, 3}),
		"segment cut short":         netlab.IPPacket(a.c1, a.remote, netlab.ProtoTCP, make([]byte, 12)),
		"answer to nobody's ping":   icmp(a, echoReplyType(a), 0, []byte{0, 3, 0, 1, 'x'}),
		"ICMP error without a flow": icmp(a, unreachableType(a), 4, append(make([]byte, 4), netlab.UDPPacket(dst, alone, []byte("quoted"))...)),
	}
	for _, proto := range []uint8{2, 4, 41, 47, 50, 51, 89, 132, 253} {
		all[fmt.Sprintf("protocol %d", proto)] = netlab.IPPacket(a.c1, a.remote, proto, make([]byte, 24))
	}
	first, last := fragments(a)
	all["the first fragment"], all["the last fragment"] = first, last
	if a.host.Is6() {
		for _, ext := range []uint8{0, 43, 60, 135, 139} {
			header := append([]byte{netlab.ProtoUDP, 0, 1, 4, 0, 0, 0, 0}, netlab.UDPPacket(src, dst, []byte("x"))[40:]...)
			all[fmt.Sprintf("extension header %d", ext)] = netlab.IPPacket(a.c1, a.remote, ext, header)
		}
	}
	return all
}

func echoReplyType(a family) byte {
	if a.host.Is4() {
		return 0
	}
	return 129
}

func unreachableType(a family) byte {
	if a.host.Is4() {
		return 3
	}
	return 1
}

// icmp is a message from c1 to R; its checksum is that of an IPv4 message: nobody is to look at it.
func icmp(a family, kind, code byte, rest []byte) []byte {
	message := append([]byte{kind, code, 0, 0}, rest...)
	proto := uint8(netlab.ProtoICMP)
	if a.host.Is6() {
		proto = netlab.ProtoICMPv6
	}
	binary.BigEndian.PutUint16(message[2:], netlab.Checksum(message))
	return netlab.IPPacket(a.c1, a.remote, proto, message)
}

// fragments are the two halves of a datagram from c1 to R.
func fragments(a family) (first, last []byte) {
	datagram := netlab.UDPPacket(port(a.c1, 4401), port(a.remote, remotePort), make([]byte, 40))
	if a.host.Is4() {
		first = netlab.IPPacket(a.c1, a.remote, netlab.ProtoUDP, datagram[20:44])
		last = netlab.IPPacket(a.c1, a.remote, netlab.ProtoUDP, datagram[44:])
		first[6], last[7] = 0x20, 3 // more fragments; offset 24 bytes
		return withTTL(first, 64), withTTL(last, 64)
	}
	half := func(offset uint16, data []byte) []byte {
		header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{netlab.ProtoUDP, 0}, offset), 77)
		return netlab.IPPacket(a.c1, a.remote, 44, append(header, data...))
	}
	return half(1, datagram[40:64]), half(24, datagram[64:])
}

// sendsNothingPrivate sends them all, and wants R to see no private source.
func (l lab) sendsNothingPrivate(a family, state string) {
	l.Helper()
	from, remote := l.newWire("c1"), l.newWire("R")
	defer from.socket.Close()
	defer remote.socket.Close()
	for _, packet := range leaks(a) {
		from.send(packet)
	}
	control := netlab.UDPPacket(port(a.c1, 4499), port(a.remote, remotePort+9), []byte("control"))
	from.send(control)
	heard := false
	for _, ip := range remote.all(silence, func(netlab.IPInfo) bool { return true }) {
		heard = heard || string(ip.Payload) == "control"
		if private(ip.Src.Addr()) {
			l.Errorf("%s: a packet of protocol %d from %s to %s left the host", state, ip.Proto, ip.Src, ip.Dst)
		}
	}
	if !heard {
		l.Errorf("%s: R did not even hear what it should", state)
	}
}

// The host forwards whatever the stack lets it, so that only the guard stands between a container's address and the wire.
func TestNoPrivateSourceLeaves(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	for _, mode := range []string{"tcx", "clsact"} {
		t.Run(mode, func(t *testing.T) {
			needMode(t, mode)
			t.Parallel()
			topo := newHost(t)
			forward(t, topo.Host)
			l := newLabOn(t, topo, rivals.CommonSpec(), "--attach="+mode)
			l.families("N21", func(l lab, a family) {
				l.dropped("from-container/no-flow", 3, func() {
					l.dropped("from-container/spoofed-ip", 4, func() {
						l.dropped("from-container/protocol", 3, func() { l.sendsNothingPrivate(a, "running") })
					})
				})
				// Forged frames towards the uplink's own address, past the bridge.
				uplink, err := topo.Host.Link("eth0")
				l.must(err)
				sideways, remote := l.newWire("c1"), l.newWire("R")
				sideways.next = uplink
				for _, packet := range leaks(a) {
					sideways.send(packet)
				}
				for _, ip := range remote.all(silence, func(netlab.IPInfo) bool { return true }) {
					if private(ip.Src.Addr()) {
						l.Errorf("a frame for the uplink's MAC address: a packet from %s left the host", ip.Src)
					}
				}
				l.must(l.vw.Kill())
				l.sendsNothingPrivate(a, "while the daemon is down")
				stop, done := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					for {
						select {
						case <-stop:
							return
						default:
							l.sendsNothingPrivate(a, "while the daemon starts")
						}
					}
				}()
				err = l.vw.Restart(l.Context())
				close(stop)
				<-done
				l.must(err)
			})
		})
	}
}

// The host itself may send by a gateway's address: it is masqueraded like a container's, and what cannot be does not leave.
func TestGatewaySourceDoesNotLeave(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("N21", func(l lab, a family) {
		for _, network := range protocols() {
			seen := l.ask(l.at("H"), network, port(a.remote, remotePort), netlab.WhoAmIOptions{Source: port(a.gateway1, 0)})
			l.judge(seen, network, "R", a.host, port(a.remote, remotePort))
		}
		remote := l.newWire("R")
		dst := port(a.remote, remotePort+7)
		for name, packet := range map[string][]byte{
			"RST of the gateway": netlab.TCPPacket(port(a.gateway1, 5), dst, netlab.RST, 7, 0, nil),
			"FIN of the gateway": netlab.TCPPacket(port(a.gateway1, 6), dst, netlab.FIN|netlab.ACK, 7, 9, nil),
			"RST of a container": netlab.TCPPacket(port(a.c1, 7), dst, netlab.RST, 7, 0, nil),
		} {
			l.dropped("to-uplink/leak", 1, func() { l.sendRaw(l.at("H"), a.remote, packet) })
			if got := remote.all(silence/3, func(ip netlab.IPInfo) bool { return private(ip.Src.Addr()) }); len(got) > 0 {
				l.Errorf("%s left the host: %+v", name, got)
			}
		}
	})
}

// With no port left a new flow is refused and counted; what lives goes on, and nothing leaves untranslated.
func TestNoPortLeft(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t, "--nat-ports=20000-20255")
	l.families("N21", func(l lab, a family) {
		streams := held{l: l}
		for _, network := range protocols() {
			streams.add(l.at("c2"), network, port(a.remote, remotePort), netip.AddrPort{})
			streams.add(l.at("R"), network, port(a.host, publishedPort), netip.AddrPort{})
		}
		c1, remote := l.newWire("c1"), l.newWire("R")
		var got []netlab.IPInfo
		l.dropped("from-container/no-port", 50, func() {
			for p := range uint16(400) {
				c1.send(netlab.UDPPacket(port(a.c1, 30000+p), port(a.remote, remotePort+1), []byte("fill")))
			}
			got = remote.all(500*time.Millisecond, func(ip netlab.IPInfo) bool { return string(ip.Payload) == "fill" })
		})
		used := map[uint16]bool{}
		for _, ip := range got {
			if ip.Src.Addr() != a.host {
				l.Errorf("a datagram came from %s", ip.Src)
			} else if ip.Src.Port() < 20000 || ip.Src.Port() > 20255 {
				l.Errorf("a datagram came from port %d, which is not in the pool", ip.Src.Port())
			}
			used[ip.Src.Port()] = true
		}
		if len(used) < 200 {
			l.Errorf("only %d of 256 ports were used", len(used))
		}
		streams.unharmed()
	})
}
