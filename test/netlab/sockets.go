// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dial connects from inside the namespace. The socket stays in it. The address
// must be numeric: a resolver would run on other goroutines, outside.
func (n *Namespace) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	return n.DialFrom(ctx, network, netip.AddrPort{}, to)
}

// DialFrom is Dial with a source address, a source port, or both.
func (n *Namespace) DialFrom(ctx context.Context, network string, from, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: reuseAddr}
	d.SetMultipathTCP(false)
	if from.IsValid() || from.Port() != 0 {
		addr := from.Addr()
		if !addr.IsValid() {
			addr = unspecified(to.Addr())
		}
		from = netip.AddrPortFrom(addr, from.Port())
		if strings.HasPrefix(network, "tcp") {
			d.LocalAddr = net.TCPAddrFromAddrPort(from)
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		}
	}
	var conn net.Conn
	err := n.Do(func() (err error) {
		conn, err = d.DialContext(ctx, exactNetwork(network, to.Addr()), to.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial in %s: %w", n.name, err)
	}
	return conn, nil
}

// Listen listens for TCP inside the namespace. An unspecified address listens
// in its own family only, so that peers show up as what they are.
func (n *Namespace) Listen(ctx context.Context, at netip.AddrPort) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = lc.Listen(ctx, exactNetwork("tcp", at.Addr()), at.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", n.name, err)
	}
	return l.(*net.TCPListener), nil
}

// ListenPacket opens an unconnected UDP socket inside the namespace.
func (n *Namespace) ListenPacket(ctx context.Context, at netip.AddrPort) (*net.UDPConn, error) {
	var lc net.ListenConfig
	var c net.PacketConn
	err := n.Do(func() (err error) {
		c, err = lc.ListenPacket(ctx, exactNetwork("udp", at.Addr()), at.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", n.name, err)
	}
	return c.(*net.UDPConn), nil
}

// exactNetwork turns "tcp" into "tcp4" or "tcp6".
func exactNetwork(network string, a netip.Addr) string {
	switch {
	case strings.HasSuffix(network, "4") || strings.HasSuffix(network, "6"):
		return network
	case a.Is4():
		return network + "4"
	default:
		return network + "6"
	}
}

// unspecified returns 0.0.0.0 or ::, in the family of like.
func unspecified(like netip.Addr) netip.Addr {
	if is4(like) {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// reuseAddr lets a test use one source port towards several destinations, and
// again while an earlier connection from it is in TIME_WAIT.
func reuseAddr(_, _ string, c syscall.RawConn) error {
	var err error
	ctlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	})
	if ctlErr != nil {
		return ctlErr
	}
	return err
}

// addrPort is the netip form of what the net package gives.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
