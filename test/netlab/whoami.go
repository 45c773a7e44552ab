// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// defaultTimeout bounds a probe whose context has no deadline: long enough for
// two lost SYNs, short enough for a test that expects silence.
const defaultTimeout = 4 * time.Second

// WhoAmIOptions varies a question.
type WhoAmIOptions struct {
	// Source is the source address, port or both; zero is the kernel's choice.
	Source netip.AddrPort
	// Unconnected sends a UDP question by sendto on a socket that was never
	// connected.
	Unconnected bool
	// Timeout bounds the whole question; zero is the context's deadline, or
	// four seconds.
	Timeout time.Duration
}

// Seen is what both ends of a question saw.
type Seen struct {
	Server string         // label of the server that answered
	Peer   netip.AddrPort // who the server was asked by
	Local  netip.AddrPort // the address that the server was asked at

	// The client's side: its own address, and the address that it believes to
	// talk to: getpeername, or the source of the answer when unconnected.
	ClientLocal netip.AddrPort
	ClientPeer  netip.AddrPort
}

// String is for messages of failed tests.
func (s Seen) String() string {
	return fmt.Sprintf("%s at %s sees %s (client %s to %s)", s.Server, s.Local, s.Peer, s.ClientLocal, s.ClientPeer)
}

// WhoAmI asks the whoami server at addr, from inside a namespace, over "tcp"
// or "udp". A UDP question is asked once: a lost datagram is an error.
func WhoAmI(ctx context.Context, ns *Namespace, network string, addr netip.AddrPort, opts WhoAmIOptions) (Seen, error) {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	var seen Seen
	var err error
	if opts.Unconnected {
		seen, err = askUnconnected(ctx, ns, addr, opts.Source)
	} else {
		seen, err = askConnected(ctx, ns, network, addr, opts.Source)
	}
	if err != nil {
		return Seen{}, fmt.Errorf("ask who I am from %s at %s/%s: %w", ns.Name(), addr, network, err)
	}
	return seen, nil
}

func askConnected(ctx context.Context, ns *Namespace, network string, addr, from netip.AddrPort) (Seen, error) {
	c, err := ns.DialFrom(ctx, network, from, addr)
	if err != nil {
		return Seen{}, err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return Seen{}, err
	}
	if strings.HasPrefix(network, "udp") {
		return askDatagram(c)
	}
	if _, err := fmt.Fprintln(c, whoRequest); err != nil {
		return Seen{}, err
	}
	line, err := bufio.NewReader(c).ReadBytes('\n')
	if err != nil {
		return Seen{}, err
	}
	return newSeen(line, c.LocalAddr(), addrPort(c.RemoteAddr()))
}

func askDatagram(c net.Conn) (Seen, error) {
	if _, err := c.Write([]byte(whoRequest)); err != nil {
		return Seen{}, err
	}
	buf := make([]byte, 1024)
	n, err := c.Read(buf)
	if err != nil {
		return Seen{}, err
	}
	return newSeen(buf[:n], c.LocalAddr(), addrPort(c.RemoteAddr()))
}

func askUnconnected(ctx context.Context, ns *Namespace, addr, from netip.AddrPort) (Seen, error) {
	at := from.Addr()
	if !at.IsValid() {
		at = unspecified(addr.Addr())
	}
	c, err := ns.ListenPacket(ctx, netip.AddrPortFrom(at, from.Port()))
	if err != nil {
		return Seen{}, err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return Seen{}, err
	}
	if _, err := c.WriteToUDPAddrPort([]byte(whoRequest), addr); err != nil {
		return Seen{}, err
	}
	buf := make([]byte, 1024)
	n, peer, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		return Seen{}, err
	}
	return newSeen(buf[:n], c.LocalAddr(), netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()))
}

func newSeen(raw []byte, local net.Addr, peer netip.AddrPort) (Seen, error) {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return Seen{}, fmt.Errorf("read answer %q: %w", raw, err)
	}
	return Seen{Server: a.Server, Peer: a.Peer, Local: a.Local, ClientLocal: addrPort(local), ClientPeer: peer}, nil
}
