// SPDX-License-Identifier: Apache-2.0

package leastsplice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := netlab.CheckLeaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func namespace(t *testing.T) *netlab.Namespace {
	t.Helper()
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// rules are for what goes over the loopback of a namespace, of which there is
// more than these addresses.
func rules(ns *netlab.Namespace) Rules {
	return Rules{Namespaces: []uint64{1 << 40, ns.Cookie()}, Addresses: []netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"),
	}}
}

func splice(t *testing.T, r Rules) *Splice {
	t.Helper()
	root, err := netlab.CgroupRoot()
	if errors.Is(err, netlab.ErrNoCgroup) {
		behaviour.Skip(t, err.Error())
	}
	r.Cgroup = root
	s, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// pair is a connection within a namespace. A listener of both families has none
// but IPv6 sockets.
func pair(t *testing.T, ns *netlab.Namespace, network, from, to string) [2]*net.TCPConn {
	t.Helper()
	var listener net.Listener
	err := ns.Do(func() (err error) {
		at := to
		if network == "tcp" {
			at = ""
		}
		listener, err = net.Listen(network, net.JoinHostPort(at, "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	source, target := netip.AddrPortFrom(netip.MustParseAddr(from), 0), netip.AddrPortFrom(netip.MustParseAddr(to), port)
	client, err := ns.DialFrom(t.Context(), "tcp", source, target)
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return [2]*net.TCPConn{client.(*net.TCPConn), server.(*net.TCPConn)}
}

const transferred = 4 << 20

// transfer sends both ways at once, in pieces of any size, and returns how many
// bytes each end has received as packets.
func transfer(t *testing.T, pair [2]*net.TCPConn) (received [2]uint64) {
	t.Helper()
	var wg sync.WaitGroup
	for i, from := range pair {
		to, content := pair[1-i], make([]byte, transferred)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(content) // never fails
		wg.Go(func() {
			sizes := rand.New(rand.NewPCG(1, uint64(i)))
			for rest := content; len(rest) > 0; {
				n, err := from.Write(rest[:min(1+sizes.IntN(200<<10), len(rest))])
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		wg.Go(func() {
			got := make([]byte, transferred)
			if n, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d of %d bytes: %v, or not those that were sent", n, transferred, err)
			}
		})
	}
	wg.Wait()
	for i, conn := range pair {
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if failed := raw.Control(func(fd uintptr) {
			var info *unix.TCPInfo
			if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				received[i] = info.Bytes_received
			}
		}); errors.Join(failed, err) != nil {
			t.Fatal(failed, err)
		}
	}
	return received
}

// What goes from socket to socket is what was sent, in its order, and nothing of
// it is a packet. Sockets that are none of ours are left alone.
func TestSplice(t *testing.T) {
	behaviour.NeedRoot(t)
	ns, other := namespace(t), namespace(t)
	splice(t, rules(ns))
	none, all := [2]uint64{}, [2]uint64{transferred, transferred}
	for _, tc := range []struct {
		name              string
		ns                *netlab.Namespace
		network, from, to string
		packets           [2]uint64
	}{
		{"ipv4", ns, "tcp4", "127.0.0.1", "127.0.0.1", none},
		{"ipv6", ns, "tcp6", "::1", "::1", none},
		{"another namespace", other, "tcp4", "127.0.0.1", "127.0.0.1", all},
		{"another namespace, ipv6", other, "tcp6", "::1", "::1", all},
		{"another address", ns, "tcp4", "127.0.0.2", "127.0.0.2", all},
		{"another address at one end", ns, "tcp4", "127.0.0.2", "127.0.0.1", all},
		// Of two ends that have addresses of either family, one is spliced, and finds no other.
		{"one end", ns, "tcp", "127.0.0.1", "127.0.0.1", all},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := transfer(t, pair(t, tc.ns, tc.network, tc.from, tc.to)); got != tc.packets {
				t.Errorf("%d bytes were packets, want %d", got, tc.packets)
			}
		})
	}
}

// A network may have one family alone. Without anybody there is nothing to do.
func TestRules(t *testing.T) {
	behaviour.NeedRoot(t)
	ns := namespace(t)
	all := rules(ns)
	splice(t, Rules{Namespaces: all.Namespaces, Addresses: all.Addresses[2:3]})
	if got := transfer(t, pair(t, ns, "tcp4", "127.0.0.1", "127.0.0.1")); got != [2]uint64{} {
		t.Errorf("%d bytes were packets", got)
	}
	if got := transfer(t, pair(t, ns, "tcp6", "::1", "::1")); got != [2]uint64{transferred, transferred} {
		t.Errorf("of the other family %d bytes were packets", got)
	}
	for _, r := range []Rules{{}, {Namespaces: all.Namespaces}, {Addresses: all.Addresses}} {
		if s, err := New(r); err == nil {
			s.Close()
			t.Errorf("nobody's sockets are spliced: %+v", r)
		}
	}
}

// A reader has all that was sent before it is told of the end, and who writes to
// one that is gone hears of that.
func TestEnd(t *testing.T) {
	behaviour.NeedRoot(t)
	ns := namespace(t)
	splice(t, rules(ns))
	ends := pair(t, ns, "tcp4", "127.0.0.1", "127.0.0.1")
	transfer(t, ends)
	content := bytes.Repeat([]byte("what it says"), 10000)
	if _, err := ends[0].Write(content); err != nil {
		t.Fatal(err)
	}
	if err := ends[0].Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(ends[1]); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d of %d bytes: %v, or not those that were sent", len(got), len(content), err)
	}
	for range 2 {
		if _, err := ends[1].Write(content); errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
			return
		}
	}
	t.Error("it writes to nobody, and is not told")
}

// Nothing sees sockets any more once it is closed. Those that are spliced stay so.
func TestClose(t *testing.T) {
	behaviour.NeedRoot(t)
	ns := namespace(t)
	s := splice(t, rules(ns))
	before := pair(t, ns, "tcp4", "127.0.0.1", "127.0.0.1")
	transfer(t, before)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := pair(t, ns, "tcp4", "127.0.0.1", "127.0.0.1")
	if got, want := transfer(t, after), [2]uint64{transferred, transferred}; got != want {
		t.Errorf("after it was closed %d bytes were packets, want %d", got, want)
	}
	if got := transfer(t, before); got != [2]uint64{} {
		t.Errorf("of a connection from before %d bytes were packets", got)
	}
}
