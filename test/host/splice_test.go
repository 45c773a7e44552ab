// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
)

// The last of these takes the programs away.
func TestSpliced(t *testing.T) {
	spliceModes(t, func(l spliceLab) {
		for _, c := range []struct {
			name string
			f    func(l spliceLab)
		}{
			{"bytes arrive", splicedBytesArrive},
			{"half close", splicedHalfClose},
			{"reset", splicedReset},
			{"peer gone", splicedPeerGone},
			{"slow reader", splicedSlowReader},
			{"stream", splicedStream},
			{"close under load", splicedCloseUnderLoad},
			{"daemon is away", splicedWhileDaemonIsAway},
			{"not spliced", notSpliced},
			{"options", splicedRefusesOptions},
			{"from the host", splicedFromHost},
			{"container goes", splicedContainerGoes},
			{"uninstall", splicedUninstall},
		} {
			l.Run(c.name, func(t *testing.T) { c.f(l.with(t)) })
		}
	})
}

// What is sent by a spliced connection arrives, in order, whatever sizes it is sent and read in, in both directions at once.
func splicedBytesArrive(l spliceLab) {
	for _, a := range l.ends() {
		l.Run(a.name, func(t *testing.T) {
			sizes := []transfer{
				{bytes: 512 << 20, write: 64 << 10, read: 48 << 10},
				{bytes: 64 << 20, write: 2 << 20, read: 300 << 10},
				{bytes: 1 << 20, write: 100, read: 7},
			}
			if a.name == behaviour.IPv6 {
				sizes[0].bytes = 128 << 20
			}
			for _, size := range sizes {
				l := l.with(t)
				client, server := l.pair(a)
				var wg sync.WaitGroup
				for i, conn := range [][2]*net.TCPConn{{client, server}, {server, client}} {
					wg.Go(func() { size.send(t, conn[0], uint64(i)) })
					wg.Go(func() { size.receive(t, conn[1], uint64(i)) })
				}
				wg.Wait()
				f, ok := l.spliced(client)
				if !ok || f.Bytes == 0 || f.RBytes == 0 || f.Bytes > uint64(size.bytes)+warmUp || f.Packets == 0 {
					t.Errorf("%d bytes each way were counted as %+v", size.bytes, f)
				}
			}
		})
	}
}

// One side says that it has no more to send, and the other goes on.
func splicedHalfClose(l spliceLab) {
	a := l.ends()[0]
	for _, size := range []transfer{{bytes: 1, write: 1, read: 9}, {bytes: 60000, write: 60000, read: 7000}, {bytes: 20 << 20, write: 1 << 20, read: 1 << 20}} {
		client, server := l.pair(a)
		var wg sync.WaitGroup
		wg.Go(func() {
			size.send(l.T, client, 1)
			l.must(client.CloseWrite())
			size.receive(l.T, client, 2)
			l.ended(client, io.EOF)
		})
		wg.Go(func() {
			size.receive(l.T, server, 1)
			l.ended(server, io.EOF)
			size.send(l.T, server, 2)
			l.must(server.CloseWrite())
		})
		wg.Wait()
	}
}

// A connection that is reset gives its reader what came before, and then the error.
func splicedReset(l spliceLab) {
	client, server := l.pair(l.ends()[0])
	size := transfer{bytes: 40000, write: 10000, read: 5000}
	size.send(l.T, client, 1)
	l.must(client.SetLinger(0))
	l.must(client.Close())
	size.receive(l.T, server, 1)
	l.ended(server, syscall.ECONNRESET)
	if _, err := server.Write([]byte("x")); err == nil {
		l.Error("a connection that was reset can be written to")
	}
}

// Who writes to a closed connection is told: at the second write at the latest, as without splicing.
func splicedPeerGone(l spliceLab) {
	client, server := l.pair(l.ends()[0])
	l.must(server.Close())
	l.ended(client, io.EOF)
	l.eventually("an error for the writer", func() error {
		if _, err := client.Write([]byte("is anybody there?")); err == nil {
			return errors.New("none")
		}
		return nil
	})
}

// A reader that does not read stops its writer, at no more than ordinary connections would take; nothing is lost.
func splicedSlowReader(l spliceLab) {
	for _, write := range []int{1, 3000, 1 << 20} {
		client, server := l.pair(l.ends()[0])
		// A limit of its own, so that this does not depend on the machine's.
		l.must(server.SetReadBuffer(256 << 10))
		l.must(client.SetWriteBuffer(256 << 10))
		l.must(client.SetWriteDeadline(time.Now().Add(2 * time.Second)))
		size := transfer{bytes: 1 << 40, write: write, read: 100 << 10}
		sent := size.fill(l.T, client, 1)
		if sent > 8<<20 {
			l.Errorf("by writes of %d: %d bytes are waiting for somebody who does not read", write, sent)
		}
		size.bytes = sent
		l.must(client.SetWriteDeadline(time.Time{}))
		l.must(client.CloseWrite())
		size.receive(l.T, server, 1)
		l.ended(server, io.EOF)
	}
}

// Connections are closed while both sides send: nothing of them stays.
func splicedCloseUnderLoad(l spliceLab) {
	for range 20 {
		var wg sync.WaitGroup
		var open []*net.TCPConn
		for i := range 4 {
			client, server := l.pair(l.ends()[i%2])
			open = append(open, client, server)
			for _, conn := range []*net.TCPConn{client, server} {
				wg.Go(func() { flood(conn) })
				wg.Go(func() { drain(conn) })
			}
			wg.Go(func() {
				time.Sleep(time.Duration(5+i) * time.Millisecond)
				_ = []*net.TCPConn{client, server}[i/2].Close()
			})
		}
		wg.Wait()
		for _, conn := range open {
			conn.Close()
		}
	}
	l.eventually("no entry is left", l.noEntries)
}

// The daemon is killed, and another one started, under traffic.
func splicedWhileDaemonIsAway(l spliceLab) {
	old, oldServer := l.pair(l.ends()[0])
	l.must(l.vw.Kill())
	l.pingPong(old, oldServer, 100)
	meanwhile, meanwhileServer := l.dialPair(l.ends()[0], splicePort)
	l.must(l.vw.Restart(l.Context()))
	l.pingPong(old, oldServer, 100)
	l.pingPong(meanwhile, meanwhileServer, 100)
	for _, conn := range []*net.TCPConn{old, meanwhile} {
		if f, ok := l.spliced(conn); !ok || f.Packets < 90 {
			l.Errorf("after a restart of the daemon the connection is %+v", f)
		}
	}
}

// The programs are taken off: what was spliced goes the way that is left, which is none.
func splicedUninstall(l spliceLab) {
	client, server := l.pair(l.ends()[0])
	l.must(l.vw.Stop())
	l.must(l.vw.Uninstall(l.Context()))
	l.must(server.SetReadDeadline(time.Now().Add(silence)))
	if _, err := client.Write([]byte("x")); err != nil && !errors.Is(err, syscall.ENETUNREACH) {
		l.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || err == nil {
		l.Errorf("a container that was let go got %d bytes and %v", n, err)
	}
}

// A container is taken off the network: its connections are cut, as others are.
func splicedContainerGoes(l spliceLab) {
	client, server := l.pair(l.ends()[0])
	l.disconnect("spliced", "b")
	l.must(server.SetReadDeadline(time.Now().Add(silence)))
	if _, err := client.Write([]byte("x")); err != nil {
		l.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		l.Errorf("a container that was taken off the network got %d bytes and %v", n, err)
	}
	l.connect("spliced", "b", endpointAt("172.30.9.3", "fd30:9::3"))
}

// What cannot be spliced is not, and works.
func notSpliced(l spliceLab) {
	a := l.ends()[0]
	for what, change := range map[string]func(fd int) error{
		"blocking":      func(fd int) error { return unix.SetNonblock(fd, false) },
		"zero copy":     func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1) },
		"low watermark": func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 2) },
	} {
		client, server := l.dialPair(a, splicePort)
		l.onSocket(server, change)
		if what == "low watermark" {
			go func() { _, _ = client.Write(bytes.Repeat([]byte("x"), 64)) }()
			_, err := io.ReadFull(server, make([]byte, 64))
			l.must(err)
		} else {
			l.pingPong(client, server, 50)
		}
		if f, ok := l.spliced(client); ok && f.Packets > 0 {
			l.Errorf("%s: spliced all the same: %+v", what, f)
		}
	}
	other, otherServer := l.dialPair(a, ordinaryPort)
	l.pingPong(other, otherServer, 50)
	if f, ok := l.spliced(other); ok {
		l.Errorf("a port that was not named is spliced: %+v", f)
	}
}

// A spliced socket cannot become what a spliced one must not be.
func splicedRefusesOptions(l spliceLab) {
	client, server := l.pair(l.ends()[0])
	for _, conn := range []*net.TCPConn{client, server} {
		l.onSocket(conn, func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); !errors.Is(err, unix.EOPNOTSUPP) {
				l.Errorf("SO_ZEROCOPY ends with %v", err)
			}
			if err := unix.SetsockoptString(fd, unix.SOL_TCP, unix.TCP_ULP, "tls"); !errors.Is(err, unix.EOPNOTSUPP) {
				l.Errorf("TCP_ULP ends with %v", err)
			}
			return unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NODELAY, 1)
		})
	}
	l.pingPong(client, server, 10)
}

// A process of the host reaches a published port by the host's addresses, spliced.
func splicedFromHost(l spliceLab) {
	hosts := map[string][]netip.Addr{
		behaviour.IPv4: {ipv4().host, ipv4().loopback}, behaviour.IPv6: {ipv6().host, ipv6().loopback},
	}
	for _, e := range l.ends() {
		for _, at := range hosts[e.name] {
			client, server := l.connectTo(l.at("H"), port(at, splicePort), l.listen(port(e.a, splicePort)))
			l.pingPong(client, server, 4)
			if f, ok := l.spliced(server); !ok || f.Packets == 0 {
				l.Errorf("by %s: not spliced: %+v", at, f)
			}
			if peer := endOf(server.RemoteAddr()).Addr(); peer != e.gateway {
				l.Errorf("by %s: the container sees %s, want the gateway", at, peer)
			}
			size := transfer{bytes: 32 << 20, write: 32 << 10, read: 32 << 10}
			var wg sync.WaitGroup
			wg.Go(func() { size.send(l.T, client, 1) })
			wg.Go(func() { size.receive(l.T, server, 1) })
			wg.Go(func() { size.send(l.T, server, 2) })
			wg.Go(func() { size.receive(l.T, client, 2) })
			wg.Wait()
		}
	}
}
