// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

func TestPublishedPortFromHost(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D02", func(l lab, a family) {
		l.must(l.topo.Host.AddAddr("eth0", a.second))
		l.eventually("an address that was added", func() error {
			return l.reaches(l.at("H"), "tcp", port(a.second.Addr(), publishedPort), "c1", netip.Addr{})
		})
		for _, own := range []netip.Addr{a.host, a.gateway1, a.gateway2, a.second.Addr()} {
			l.sees(l.at("H"), port(own, publishedPort), "c1", a.gateway1)
			l.noPeerChange(l.at("H"), port(own, publishedPort))
		}
		// The unspecified address means the host itself.
		l.sees(l.at("H"), port(unspecified(a), publishedPort), "c1", a.gateway1)
		// An address that is the host's no more is nobody's.
		l.must(l.topo.Host.DelAddr("eth0", a.second))
		l.eventually("an address that was removed", func() error {
			if err := l.reaches(l.at("H"), "tcp", port(a.second.Addr(), publishedPort), "c1", netip.Addr{}); err == nil {
				return errors.New("it still answers")
			}
			return nil
		})
	})
	l.run("no publisher", func(l lab) {
		for _, a := range []family{ipv4(), ipv6()} {
			l.ends(l.at("H"), port(a.host, publishedPort+1), netlab.Refused)
		}
	})
}

// How soon does an address count? It must not take longer than a second.
func TestAddressAddedASecondAgo(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	l.families("D02", func(l lab, a family) {
		l.must(l.topo.Host.AddAddr("eth0", a.second))
		time.Sleep(time.Second)
		l.sees(l.at("H"), port(a.second.Addr(), publishedPort), "c1", a.gateway1)
		l.seesItself(l.at("R"), port(a.second.Addr(), publishedPort), "c1")
		l.seesItself(l.at("c2"), port(a.second.Addr(), publishedPort), "c1")
	})
}

func unspecified(a family) netip.Addr { return a.any.Addr() }

// noPeerChange asks without connecting: the answer must come from whom was asked.
func (l lab) noPeerChange(from *netlab.Namespace, to netip.AddrPort) {
	l.Helper()
	seen, err := netlab.WhoAmI(l.Context(), from, "udp", to, netlab.WhoAmIOptions{Unconnected: true})
	if err != nil {
		l.Error(err)
	} else if seen.ClientPeer != to {
		l.Errorf("an unconnected socket asked %s and was answered by %s", to, seen.ClientPeer)
	}
}

func TestPublishedPortByLoopback(t *testing.T) {
	modes(t, func(l lab) {
		l.families("D03", func(l lab, a family) {
			l.sees(l.at("H"), port(a.loopback, publishedPort), "c1", a.gateway1)
			l.noPeerChange(l.at("H"), port(a.loopback, publishedPort))
			l.getpeername(l.at("H"), port(a.loopback, publishedPort))
			streams := held{l: l}
			for _, network := range protocols() {
				streams.add(l.at("H"), network, port(a.loopback, publishedPort), netip.AddrPort{})
			}
			streams.unharmed()
		})
		l.run("127.0.0.2", func(l lab) {
			l.sees(l.at("H"), port(addr("127.0.0.2"), publishedPort), "c1", ipv4().gateway1)
		})
	})
}

// A client that binds its own end to a loopback address cannot be answered: no packet from a container can be for that
// address. What it sends without expecting an answer, such as a log line, arrives.
func TestDatagramFromABoundLoopbackSocket(t *testing.T) {
	behaviour.NeedRoot(t)
	t.Parallel()
	l := newLab(t)
	for _, a := range []family{ipv4(), ipv6()} {
		c, err := l.at("c1").ListenPacket(l.Context(), port(a.c1, 514))
		l.must(err)
		l.must(l.target.Publish(l.Context(), "c1", rivals.Port{HostIP: a.any.Addr(), HostPort: 514, ContainerPort: 514, Proto: "udp"}))
		_, err = netlab.WhoAmI(l.Context(), l.at("H"), "udp", port(a.loopback, 514),
			netlab.WhoAmIOptions{Unconnected: true, Source: port(a.loopback, 0), Timeout: silence})
		if got := netlab.Classify(err); got != netlab.TimesOut {
			l.Errorf("%s: %v", a.name, err)
		}
		l.must(c.SetReadDeadline(time.Now().Add(time.Second)))
		buf := make([]byte, 16)
		if _, from, err := c.ReadFromUDPAddrPort(buf); err != nil || from.Addr() != a.gateway1 {
			l.Errorf("%s: the container received from %s, %v, want from its gateway", a.name, from, err)
		}
		l.must(c.Close())
	}
}

// getpeername asks the kernel, over tcp and udp, connected.
func (l lab) getpeername(from *netlab.Namespace, to netip.AddrPort) {
	l.Helper()
	for _, network := range protocols() {
		conn := l.dial(from, network, to)
		if got := l.peerOf(conn); got != to {
			l.Errorf("getpeername over %s: %s, want %s", network, got, to)
		}
		l.must(conn.Close())
	}
}

// dial connects as most programs do: an IPv6 socket may speak with IPv4 hosts too.
func (l lab) dial(from *netlab.Namespace, network string, to netip.AddrPort) (conn net.Conn) {
	l.Helper()
	l.must(from.Do(func() (err error) {
		d := net.Dialer{Timeout: time.Second}
		conn, err = d.DialContext(l.Context(), network, to.String())
		return err
	}))
	l.must(conn.SetDeadline(time.Now().Add(time.Second)))
	return conn
}

func (l lab) peerOf(conn net.Conn) netip.AddrPort {
	l.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	l.must(err)
	var got unix.Sockaddr
	l.must(errors.Join(raw.Control(func(fd uintptr) { got, err = unix.Getpeername(int(fd)) }), err))
	switch sa := got.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// onlyIPv4 has a network one without IPv6.
func onlyIPv4() rivals.Spec {
	spec := rivals.CommonSpec()
	one := &spec.Networks[0]
	one.Subnet6, one.Gateway6 = netip.Prefix{}, netip.Addr{}
	for i := range one.Containers {
		one.Containers[i].IP6 = netip.Addr{}
	}
	return spec
}

// A container without IPv6 is reached by [::1] too, as through a proxy.
func TestIPv6LoopbackToIPv4Container(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "D03", behaviour.IPv6)
	t.Parallel()
	l := newLabOn(t, newHost(t), onlyIPv4())
	l.sees(l.at("H"), port(addr("127.0.0.1"), publishedPort), "c1", ipv4().gateway1)
	for _, to := range []netip.AddrPort{port(addr("::1"), publishedPort), port(addr("2001:db8:2::2"), publishedPort)} {
		l.getpeername(l.at("H"), to)
		for _, network := range protocols() {
			conn := l.dial(l.at("H"), network, to)
			_, err := conn.Write([]byte("who\n"))
			l.must(err)
			answer := make([]byte, 1024)
			n, err := conn.Read(answer)
			l.must(err)
			if got := string(answer[:n]); !strings.Contains(got, `"c1"`) || !strings.Contains(got, `"172.30.1.1:`) {
				l.Errorf("%s over %s: %s, want c1 to see its gateway", to, network, got)
			}
			l.must(conn.Close())
		}
	}
	// What the kernel does not allow is left as it would be without vethway, and reaches nobody: a datagram of an unconnected
	// socket cannot change its family on the way (ENOTSUPP), and a socket that is for IPv6 only cannot speak IPv4.
	_, err := netlab.WhoAmI(l.Context(), l.at("H"), "udp", port(addr("::1"), publishedPort),
		netlab.WhoAmIOptions{Unconnected: true, Timeout: silence})
	if got := netlab.Classify(err); got != netlab.TimesOut {
		l.Errorf("an unconnected datagram to [::1]: %s (%v)", got, err)
	}
	l.ends(l.at("H"), port(addr("::1"), publishedPort), netlab.Unreachable)
}
