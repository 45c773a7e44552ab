// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
)

// The published ports of the tests below.
const (
	againPort  = 8081 // leads to serverPort of c1, as publishedPort does
	secondPort = 8082 // leads to serverPort of c2
	manyPort   = 8090 // the first of as many as a socket remembers: each leads to a port of its own of c2, where nobody listens
	many       = 8
)

func (l lab) publishPeers() {
	l.Helper()
	l.publish("c1", both(publishSpec(againPort))...)
	l.publish("c2", both(publishSpec(secondPort))...)
	l.publish("c2", api.PublishSpec{HostPort: manyPort, HostPortEnd: manyPort + many - 1, ContainerPort: manyPort, Protocol: api.UDP})
}

// peerSteps is what is done with one socket, and what it is told after that.
type peerSteps struct {
	name string
	do   func(s *rawSocket)
	// peer is what getpeername says; invalid: it is not connected. from is whom the next answer is from; invalid: nobody is asked.
	peer, from netip.AddrPort
}

// A socket is told what it asked for, whatever else it has asked for before and meanwhile.
func TestSocketIsToldWhatItAskedFor(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.publishPeers()
	l.families("D03", func(l lab, a family) {
		for _, c := range datagramSteps(a) {
			l.run(c.name, func(l lab) {
				s := l.newRawSocket(a.loopback.Is6(), unix.SOCK_DGRAM)
				c.do(s)
				s.isTold(c.peer, c.from)
			})
		}
	})
}

func datagramSteps(a family) []peerSteps {
	p1, again, other := port(a.loopback, publishedPort), port(a.host, againPort), port(a.gateway1, secondPort)
	itself, neighbour := port(a.c1, serverPort), port(a.c2, serverPort)
	steps := []peerSteps{
		{"connected", func(s *rawSocket) { s.connect(p1); s.send() }, p1, p1},
		{"connected elsewhere", func(s *rawSocket) { s.connect(p1); s.connect(other); s.send() }, other, other},
		{"and back", func(s *rawSocket) { s.connect(p1); s.connect(other); s.connect(p1); s.send() }, p1, p1},
		{"connected by another port", func(s *rawSocket) { s.connect(p1); s.connect(again); s.send() }, again, again},
		{"connected to the container itself", func(s *rawSocket) { s.connect(p1); s.connect(itself); s.send() }, itself, itself},
		{"sent to, then connected to the container itself", func(s *rawSocket) { s.sendTo(p1); s.drain(); s.connect(itself); s.send() },
			itself, itself},
		{"connected elsewhere in vain", func(s *rawSocket) { s.connect(p1); s.fails(other); s.send() }, p1, p1},
		{"disconnected, sends by another port", func(s *rawSocket) { s.connect(p1); s.disconnect(); s.sendTo(again) }, netip.AddrPort{}, again},
		{"disconnected, sends to the same", func(s *rawSocket) { s.connect(p1); s.disconnect(); s.sendTo(p1) }, netip.AddrPort{}, p1},
		{"disconnected with an answer unread", func(s *rawSocket) { s.connect(p1); s.send(); s.arrives(); s.disconnect() }, netip.AddrPort{}, p1},
		{"connected elsewhere with an answer unread", func(s *rawSocket) { s.connect(p1); s.send(); s.arrives(); s.connect(other) }, other, p1},
		{"disconnected, connected by another port", func(s *rawSocket) { s.connect(p1); s.disconnect(); s.connect(again); s.send() }, again, again},
		{"connected, sends by another port", func(s *rawSocket) { s.connect(p1); s.sendTo(again) }, p1, p1},
		{"connected, sends elsewhere", func(s *rawSocket) { s.connect(p1); s.sendTo(other); s.send() }, p1, p1},
		{"connected, sends to as many as are remembered", func(s *rawSocket) { s.connect(p1); s.sendToMany(); s.send() }, p1, p1},
		{"connected to the container itself, sends by a port", func(s *rawSocket) { s.connect(itself); s.sendTo(p1) }, itself, itself},
		{"sends to two", func(s *rawSocket) { s.sendTo(p1); s.arrives(); s.sendTo(other); s.receives(p1) }, netip.AddrPort{}, other},
		{"sends by two ports", func(s *rawSocket) { s.sendTo(p1); s.drain(); s.sendTo(again) }, netip.AddrPort{}, again},
		{"sends to a container itself", func(s *rawSocket) { s.sendTo(p1); s.drain(); s.sendTo(neighbour) }, netip.AddrPort{}, neighbour},
	}
	if a.name == behaviour.IPv4 {
		// The kernel lets an IPv6 socket hear from its former peer's address alone, though it is disconnected.
		steps = append(steps, peerSteps{"disconnected, sends elsewhere", func(s *rawSocket) { s.connect(p1); s.disconnect(); s.sendTo(other) },
			netip.AddrPort{}, other})
	}
	return steps
}

// A socket that was refused may connect again.
func TestStreamSocketConnectsAgain(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D03", func(l lab, a family) {
		const late = 8095
		l.publish("c1", api.PublishSpec{HostPort: late, ContainerPort: late, Protocol: api.TCP})
		published, itself := port(a.loopback, late), port(a.c1, late)
		again, plain := l.newRawSocket(a.loopback.Is6(), unix.SOCK_STREAM), l.newRawSocket(a.loopback.Is6(), unix.SOCK_STREAM)
		again.fails(published)
		plain.fails(published)
		server := l.serve(l.at("c1"), "late", late)
		again.connect(published)
		again.isTold(published, netip.AddrPort{})
		plain.connect(itself)
		plain.isTold(itself, netip.AddrPort{})
		l.must(server.Close())
		l.unpublish("c1", api.PublishSpec{HostPort: late, ContainerPort: late, Protocol: api.TCP})
	})
}

// An IPv6 socket reaches containers without IPv6, by either family's name.
func TestIPv6SocketIsToldWhatItAskedFor(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "D03", behaviour.IPv6)
	t.Parallel()
	l := newLabOn(t, newHost(t), onlyIPv4())
	l.publishPeers()
	mapped := func(a string, p uint16) netip.AddrPort { return port(netip.AddrFrom16(addr(a).As16()), p) }
	six, four, other := port(addr("::1"), publishedPort), mapped("127.0.0.1", publishedPort), mapped("192.0.2.2", secondPort)
	itself := mapped("172.30.1.2", serverPort)
	for _, c := range []peerSteps{
		{"connected", func(s *rawSocket) { s.connect(six); s.send() }, six, six},
		{"connected by its IPv4 name", func(s *rawSocket) { s.connect(six); s.connect(four); s.send() }, four, four},
		{"connected elsewhere", func(s *rawSocket) { s.connect(six); s.connect(other); s.send() }, other, other},
		{"connected to the container itself", func(s *rawSocket) { s.connect(six); s.connect(itself); s.send() }, itself, itself},
		{"disconnected, sends by the IPv4 name", func(s *rawSocket) { s.connect(six); s.disconnect(); s.sendTo(four) }, netip.AddrPort{}, four},
		{"connected, sends by the IPv4 name", func(s *rawSocket) { s.connect(six); s.sendTo(four) }, six, six},
		{"connected to the container itself, sends by a port", func(s *rawSocket) { s.connect(itself); s.sendTo(four) }, itself, itself},
		{"sends", func(s *rawSocket) { s.sendTo(four) }, netip.AddrPort{}, four},
	} {
		l.run(c.name, func(l lab) {
			s := l.newRawSocket(true, unix.SOCK_DGRAM)
			c.do(s)
			s.isTold(c.peer, c.from)
		})
	}
	l.run("a stream", func(l lab) {
		s := l.newRawSocket(true, unix.SOCK_STREAM)
		s.connect(six)
		s.isTold(six, netip.AddrPort{})
	})
}

// rawSocket is a socket of the host, by system calls alone.
type rawSocket struct {
	l   lab
	fd  int
	six bool
}

func (l lab) newRawSocket(six bool, kind int) *rawSocket {
	l.Helper()
	s := &rawSocket{l: l, six: six}
	domain := unix.AF_INET
	if six {
		domain = unix.AF_INET6
	}
	l.must(l.at("H").Do(func() (err error) {
		s.fd, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	l.Cleanup(func() { unix.Close(s.fd) })
	second := unix.NsecToTimeval(int64(time.Second))
	l.must(unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second))
	return s
}

func (s *rawSocket) sockaddr(to netip.AddrPort) unix.Sockaddr {
	if s.six {
		return &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
	}
	return &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
}

// name is an address as the socket's family spells it.
func (s *rawSocket) name(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (s *rawSocket) connect(to netip.AddrPort) {
	s.l.Helper()
	s.l.must(unix.Connect(s.fd, s.sockaddr(to)))
}

// fails connects where nobody is: a stream is refused; to a datagram's container there is no way for the time being.
func (s *rawSocket) fails(to netip.AddrPort) {
	s.l.Helper()
	host := s.l.at("H")
	if kind, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_DGRAM {
		for _, c2 := range []netip.Addr{ipv4().c2, ipv6().c2} {
			s.l.command(host, "ip route add unreachable "+c2.String())
			defer s.l.command(host, "ip route del unreachable "+c2.String())
		}
	}
	if err := unix.Connect(s.fd, s.sockaddr(to)); err == nil {
		s.l.Fatalf("connected to %s", to)
	}
}

func (s *rawSocket) disconnect() {
	s.l.Helper()
	// AF_UNSPEC: the package has no address for it.
	unspec := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	s.l.must(connectRaw(s.fd, &unspec))
}

func (s *rawSocket) send() {
	s.l.Helper()
	_, err := unix.Write(s.fd, []byte("who"))
	s.l.must(err)
}

func (s *rawSocket) sendTo(to netip.AddrPort) {
	s.l.Helper()
	s.l.must(unix.Sendto(s.fd, []byte("who"), 0, s.sockaddr(to)))
}

func (s *rawSocket) sendToMany() {
	s.l.Helper()
	host := ipv4().host
	if s.six {
		host = ipv6().host
	}
	for i := range uint16(many) {
		s.sendTo(port(host, manyPort+i))
	}
}

// arrives waits until there is something to read.
func (s *rawSocket) arrives() {
	s.l.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, 1000)
	if s.l.must(err); n != 1 {
		s.l.Fatal("no answer")
	}
}

// drain reads an answer that is not looked at.
func (s *rawSocket) drain() {
	s.l.Helper()
	_, _, err := unix.Recvfrom(s.fd, make([]byte, 1024), 0)
	s.l.must(err)
}

func (s *rawSocket) receives(from netip.AddrPort) {
	s.l.Helper()
	data := make([]byte, 1024)
	n, sa, err := unix.Recvfrom(s.fd, data, 0)
	s.l.must(err)
	if got := s.name(sa); got != from || !strings.Contains(string(data[:n]), `"server"`) {
		s.l.Errorf("received %q from %s, want from %s", data[:n], got, from)
	}
}

func (s *rawSocket) isTold(peer, from netip.AddrPort) {
	s.l.Helper()
	sa, err := unix.Getpeername(s.fd)
	switch got := s.name(sa); {
	case !peer.IsValid() && err == unix.ENOTCONN:
	case err != nil:
		s.l.Errorf("getpeername: %v", err)
	case got != peer:
		s.l.Errorf("getpeername: %s, want %s", got, peer)
	}
	if from.IsValid() {
		s.receives(from)
	}
}
