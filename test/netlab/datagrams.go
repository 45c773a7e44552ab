// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Datagrams is a UDP socket that tells which address each datagram was sent
// to: a server on the unspecified address has to answer from that one.
type Datagrams struct {
	conn  *net.UDPConn
	local netip.AddrPort
}

// Datagram is the two ends of one datagram.
type Datagram struct{ Peer, Local netip.AddrPort }

// ListenDatagrams opens such a socket inside the namespace.
func (n *Namespace) ListenDatagrams(ctx context.Context, at netip.AddrPort) (*Datagrams, error) {
	c, err := n.ListenPacket(ctx, at)
	if err != nil {
		return nil, err
	}
	d := &Datagrams{conn: c, local: addrPort(c.LocalAddr())}
	if err := d.wantPktinfo(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen in %s: %w", n.name, err), c.Close())
	}
	return d, nil
}

func (d *Datagrams) wantPktinfo() error {
	raw, err := d.conn.SyscallConn()
	if err != nil {
		return err
	}
	level, opt := unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	if d.local.Addr().Is4() {
		level, opt = unix.IPPROTO_IP, unix.IP_PKTINFO
	}
	ctlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, opt, 1) })
	return errors.Join(ctlErr, err)
}

// Receive waits for a datagram.
func (d *Datagrams) Receive(buf []byte) (int, Datagram, error) {
	oob := make([]byte, 128)
	n, oobn, _, peer, err := d.conn.ReadMsgUDPAddrPort(buf, oob)
	if err != nil {
		return 0, Datagram{}, err
	}
	got := Datagram{Peer: netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()), Local: d.local}
	if a := pktinfoAddr(oob[:oobn]); a.IsValid() {
		got.Local = netip.AddrPortFrom(a, d.local.Port())
	}
	return n, got, nil
}

// Answer sends to the peer of a datagram, from the address that it was sent to.
func (d *Datagrams) Answer(b []byte, to Datagram) error {
	var oob []byte
	if a := to.Local.Addr(); a.Is4() {
		oob = unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()})
	} else {
		oob = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()})
	}
	_, _, err := d.conn.WriteMsgUDPAddrPort(b, oob, to.Peer)
	return err
}

// Close closes the socket.
func (d *Datagrams) Close() error { return d.conn.Close() }

// pktinfoAddr reads the address that a datagram was sent to.
func pktinfoAddr(oob []byte) netip.Addr {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}
	}
	for _, m := range msgs {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= 12:
			// struct in_pktinfo: interface, local address, header's destination.
			return netip.AddrFrom4([4]byte(m.Data[8:12]))
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= 16:
			return netip.AddrFrom16([16]byte(m.Data[:16]))
		}
	}
	return netip.Addr{}
}
