// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

const (
	bulkPort      = 82   // in c1, and on R and H
	bulkPublished = 8082 // leads to c1's
	bulk          = 8 << 20
)

// setUplinks sets what the host's uplink and the remote's end of it take.
func setUplinks(t *testing.T, topo *netlab.Topology, size netlab.PacketSize) {
	t.Helper()
	err := errors.Join(topo.Host.SetPacketSize("eth0", size), topo.Remote.SetPacketSize("eth0", size))
	if err != nil {
		t.Fatal(err)
	}
}

func withOptions(options map[string]string) rivals.Spec {
	spec := rivals.CommonSpec()
	for i := range spec.Networks {
		spec.Networks[i].Options = options
	}
	return spec
}

// TestBigTCP: in packets beyond 64 KiB every byte arrives, whichever way it takes, whatever the MTU.
func TestBigTCP(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedLinux(t, 6, 3, "IPv4 packets beyond 64 KiB")
	t.Parallel()
	for _, mtu := range []int{1280, 1400, 1500, 9000} {
		t.Run(fmt.Sprintf("mtu %d", mtu), func(t *testing.T) {
			topo := newHost(t)
			setUplinks(t, topo, netlab.PacketSize{IPv4: 196608, IPv6: 196608})
			l := newLabOn(t, topo, withOptions(map[string]string{
				api.OptionMTU: strconv.Itoa(mtu), api.OptionPacketSize: "196608",
			}))
			l.publish("c1", api.PublishSpec{HostPort: bulkPublished, ContainerPort: bulkPort, Protocol: api.TCP})
			l.families("N20", func(l lab, a family) {
				for _, c := range []struct {
					name, from, at string
					listen, dial   netip.Addr
				}{
					{"published", "R", "c1", a.c1, a.host},
					{"masquerade", "c1", "R", a.remote, a.remote},
					{"neighbour", "c2", "c1", a.c1, a.c1},
					{"hairpin", "c2", "c1", a.c1, a.host},
					{"other network", "d1", "c1", a.c1, a.host},
					{"itself", "c1", "c1", a.c1, a.host},
					{"host to container", "H", "c1", a.c1, a.c1},
					{"host to published", "H", "c1", a.c1, a.loopback},
					{"container to host", "c1", "H", a.host, a.host},
				} {
					to := port(c.dial, bulkPort)
					if c.at == "c1" && c.dial != c.listen {
						to = port(c.dial, bulkPublished)
					}
					l.run(c.name, func(l lab) {
						l.carries(l.at(c.from), l.at(c.at), port(c.listen, bulkPort), to, true, true)
					})
				}
				l.segments(a)
			})
		})
	}
}

// TestBigTCPFollowsUplinks: nobody sends what an uplink would have to cut up, unless told to; and then it arrives all the same.
func TestBigTCPFollowsUplinks(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedLinux(t, 6, 3, "IPv4 packets beyond 64 KiB")
	t.Parallel()
	topo := newHost(t)
	spec := rivals.CommonSpec()
	spec.Networks[1].Options = map[string]string{api.OptionPacketSize: "131072"}
	l := newLabOn(t, topo, spec)
	eth0 := func(container string) netlab.PacketSize {
		link, err := l.at(container).Link("eth0")
		l.must(err)
		return link.GSO
	}
	plain := netlab.PacketSize{IPv4: 65536, IPv6: 65536}
	if got := eth0("c1"); got != plain {
		l.Errorf("c1 sends packets of %+v to an uplink that takes 64 KiB", got)
	}
	if got := eth0("d1"); got != (netlab.PacketSize{IPv4: 131072, IPv6: 131072}) {
		l.Errorf("d1, told to, sends packets of %+v", got)
	}
	a := ipv4()
	out := func(from string, big bool) {
		l.Helper()
		l.carries(l.at(from), l.at("R"), port(a.remote, bulkPort), port(a.remote, bulkPort), big, false)
	}
	out("c1", false)
	out("d1", false) // cut up
	a = ipv6()
	out("d1", false)
	a = ipv4()

	setUplinks(t, topo, netlab.PacketSize{IPv4: 150000, IPv6: 150000})
	grown := func() error {
		if got := eth0("c1"); got.IPv4 != 150000 {
			return fmt.Errorf("c1 sends packets of %+v", got)
		}
		return nil
	}
	// Of sizes the kernel sends no word: they are seen when something else changes, or half a minute later.
	l.must(topo.Host.AddAddr("eth0", a.second))
	l.eventually("the uplink takes more", grown)
	toRemote := port(a.remote, bulkPort)
	l.must(l.vw.Kill())
	l.carries(l.at("c1"), l.at("R"), toRemote, toRemote, true, true)
	l.must(l.vw.Restart(l.Context()))
	l.must(grown())
	l.carries(l.at("c1"), l.at("R"), toRemote, toRemote, true, true)

	setUplinks(t, topo, plain)
	l.must(topo.Host.DelAddr("eth0", a.second))
	l.eventually("the uplink takes less", func() error {
		if got := eth0("c1"); got != plain {
			return fmt.Errorf("c1 sends packets of %+v", got)
		}
		return nil
	})
}

// carries sends different noise each way through one connection. there and back tell whether it is to arrive in packets beyond 64 KiB; how
// large they get is up to TCP, so that a stream that was slow gets another chance.
func (l lab) carries(from, at *netlab.Namespace, listen, dial netip.AddrPort, there, back bool) {
	l.Helper()
	var sawThere, sawBack bool
	for try := 0; try == 0 || try < 20 && (sawThere != there || sawBack != back); try++ {
		atServer, atClient := l.newBigEar(at), l.newBigEar(from)
		l.transfer(from, at, listen, dial)
		sawThere, sawBack = atServer.heard(), atClient.heard()
		if sawThere && !there {
			break
		}
	}
	if sawThere != there || sawBack && !back || back && !sawBack {
		l.Errorf("packets beyond 64 KiB there %v, want %v; back %v, want %v", sawThere, there, sawBack, back)
	}
}

func (l lab) transfer(from, at *netlab.Namespace, listen, dial netip.AddrPort) {
	l.Helper()
	listener, err := at.Listen(l.Context(), listen)
	l.must(err)
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = errors.Join(takeNoise(conn, 1), sendNoise(conn, 2))
			conn.Close()
		}
		served <- err
	}()
	conn, err := from.DialFrom(l.Context(), "tcp", netip.AddrPort{}, dial)
	l.must(err)
	defer conn.Close()
	l.must(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	l.must(errors.Join(sendNoise(conn, 1), takeNoise(conn, 2), <-served))
}

func noise(seed byte) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{seed}), bulk) }

func sendNoise(conn net.Conn, seed byte) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{conn}, noise(seed), make([]byte, 512<<10))
	return err
}

func takeNoise(conn net.Conn, seed byte) error {
	got, want := sha256.New(), sha256.New()
	n, err := io.CopyN(got, conn, bulk)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	if _, err := io.Copy(want, noise(seed)); err != nil {
		return err
	}
	if string(got.Sum(nil)) != string(want.Sum(nil)) {
		return errors.New("what arrived is not what was sent")
	}
	return nil
}

// bigEar hears of packets beyond 64 KiB that arrive in a namespace.
type bigEar struct {
	l  lab
	fd int
}

func (l lab) newBigEar(ns *netlab.Namespace) *bigEar {
	l.Helper()
	e := &bigEar{l: l}
	l.must(ns.Do(func() (err error) {
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00
		e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		// Outgoing: no. Longer than 64 KiB and an Ethernet header: the first bytes. Anything else: no.
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: pktType},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 3, K: unix.PACKET_OUTGOING},
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
			{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, Jf: 1, K: 65535 + 14},
			{Code: unix.BPF_RET | unix.BPF_K, K: 64},
			{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		}
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(e.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program))
	}))
	return e
}

// pktType is SKF_AD_OFF + SKF_AD_PKTTYPE: who the packet is for, as the kernel sees it.
const pktType = 0xfffff000 + 4

// heard ends listening.
func (e *bigEar) heard() bool {
	_, _, err := unix.Recvfrom(e.fd, make([]byte, 64), unix.MSG_TRUNC)
	e.l.must(os.NewSyscallError("close", unix.Close(e.fd)))
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		e.l.Errorf("listen for big packets: %v", err)
	}
	return err == nil
}

// segments: UDP's own segmentation goes on beside it.
func (l lab) segments(a family) {
	l.Helper()
	server, err := l.at("R").ListenPacket(l.Context(), port(a.remote, bulkPort))
	l.must(err)
	defer server.Close()
	conn, err := l.at("c1").DialFrom(l.Context(), "udp", netip.AddrPort{}, port(a.remote, bulkPort))
	l.must(err)
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	l.must(err)
	const size, count = 1000, 20
	l.must(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size) }))
	l.must(err)
	data := make([]byte, size*count)
	for i := range data {
		data[i] = byte(i / size)
	}
	_, err = conn.Write(data)
	l.must(err)
	buf := make([]byte, 2*size)
	for i := range count {
		l.must(server.SetReadDeadline(time.Now().Add(5 * time.Second)))
		n, _, err := server.ReadFromUDPAddrPort(buf)
		if err != nil || n != size || buf[0] != byte(i) || buf[n-1] != byte(i) {
			l.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}
}
