// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
)

func TestLeastSplice(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := setUp(t, NewLeastSplice(""))
	l.sees("R", "172.30.1.2:80", "c1", "192.0.2.3")
	l.sees("c1", "[2001:db8:2::3]:9000", "lab-remote", "fd30:1::2")
	l.sees("c2", "172.30.1.2:80", "c1", "172.30.1.3")
	l.sees("d1", "[fd30:1::2]:80", "c1", "fd30:2::2")
	l.sees("H", "172.30.1.2:80", "c1", "172.30.1.1")
	for _, f := range []Family{IPv4, IPv6} {
		l.noAccess(FromSelf, f)
		for _, from := range []Place{FromRemote, FromHost, FromLoopback, FromNeighbour, FromOther} {
			l.proves(Way(from), f, func() {
				for _, p := range CommonSpec().Networks[0].Containers[0].Publish {
					l.access(from, p, f)
				}
			})
		}
	}
	l.provesOthers()
	l.proof()
}

// What stays within the host never becomes a packet, and what comes from
// elsewhere does, whatever its target splices.
func TestLeastSpliceTakesAll(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	splicing, redirecting := setUp(t, NewLeastSplice("")), setUp(t, NewRedirect())
	for _, to := range []string{"172.30.1.2:7000", "[fd30:1::2]:7000"} {
		for _, from := range []string{"c2", "d1", "H", "R"} {
			if got := splicing.packets(from, "c1", to); (got == 0) != (from != "R") {
				t.Errorf("%s to %s: %d bytes were packets", from, to, got)
			}
		}
		// The same addresses in other namespaces.
		for _, from := range []string{"c2", "H"} {
			if got := redirecting.packets(from, "c1", to); got == 0 {
				t.Errorf("%s to %s: what another target carries is spliced", from, to)
			}
		}
	}
}

// packets exchanges some bytes, and returns how many both ends received as packets.
func (l lab) packets(from, server, at string) (received uint64) {
	l.Helper()
	to := netip.MustParseAddrPort(at)
	listener, err := l.from(server).Listen(l.Context(), to)
	if err != nil {
		l.Fatal(err)
	}
	defer listener.Close()
	client, err := l.from(from).Dial(l.Context(), "tcp", to)
	if err != nil {
		l.Fatal(err)
	}
	defer client.Close()
	accepted, err := listener.AcceptTCP()
	if err != nil {
		l.Fatal(err)
	}
	defer accepted.Close()
	ends := []*net.TCPConn{client.(*net.TCPConn), accepted}
	const question = "what it says"
	for i := range 20 {
		answer := make([]byte, len(question))
		if _, err := ends[i%2].Write([]byte(question)); err != nil {
			l.Fatal(err)
		}
		if _, err := io.ReadFull(ends[1-i%2], answer); err != nil || string(answer) != question {
			l.Fatalf("%s to %s: %q, %v", from, at, answer, err)
		}
	}
	for _, end := range ends {
		raw, err := end.SyscallConn()
		if err != nil {
			l.Fatal(err)
		}
		if failed := raw.Control(func(fd uintptr) {
			var info *unix.TCPInfo
			if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				received += info.Bytes_received
			}
		}); errors.Join(failed, err) != nil {
			l.Fatal(failed, err)
		}
	}
	return received
}

func TestLeastSpliceLeavesCrowds(t *testing.T) {
	t.Parallel()
	spec, err := ScaledSpec(fewContainers+1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewLeastSplice("").Setup(t.Context(), nil, spec); err == nil || !strings.Contains(err.Error(), ErrUnavailable.Error()) {
		t.Errorf("%d containers: %v", spec.containers(), err)
	}
}
