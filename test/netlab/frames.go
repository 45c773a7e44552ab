// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// PacketSocket sends and captures raw Ethernet frames on one interface, below
// the namespace's firewall and routing. It captures from the moment it was
// opened, so open it before causing what is to be seen.
type PacketSocket struct {
	fd    int
	where string
	mac   net.HardwareAddr
}

// Frame is a captured frame, Ethernet header included. Offloads apply: it may
// be larger than the MTU, and one that was sent here may still lack checksums.
type Frame struct {
	Data     []byte
	Outgoing bool // sent by this namespace, not received
}

// IP is the IP packet in the frame.
func (f Frame) IP() (IPInfo, bool) {
	if len(f.Data) < 14 {
		return IPInfo{}, false
	}
	return ParseIP(f.Data[14:])
}

// receiveBuffer holds what comes while a test is not scheduled: the default is full after some 250 small frames.
const receiveBuffer = 8 << 20

// OpenPacket opens a packet socket on an interface of a namespace.
func OpenPacket(ns *Namespace, dev string) (*PacketSocket, error) {
	link, err := ns.Link(dev)
	if err != nil {
		return nil, err
	}
	p := &PacketSocket{fd: -1, where: dev + " in " + ns.Name(), mac: link.MAC}
	err = ns.Do(func() (err error) {
		// Protocol 0 captures nothing until bind names the interface.
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	if err == nil {
		err = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	}
	if err == nil {
		err = unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: link.Index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open packet socket on %s: %w", p.where, err), p.Close())
	}
	return p, nil
}

// MAC is the hardware address of the interface.
func (p *PacketSocket) MAC() net.HardwareAddr { return p.mac }

// Send puts a frame on the wire as it is.
func (p *PacketSocket) Send(frame []byte) error {
	if _, err := unix.Write(p.fd, frame); err != nil {
		return fmt.Errorf("send frame on %s: %w", p.where, err)
	}
	return nil
}

// Sniff returns the first frame that the filter accepts, or the context's
// error.
func (p *PacketSocket) Sniff(ctx context.Context, filter func(Frame) bool) (Frame, error) {
	buf := make([]byte, 65536+14)
	for {
		if err := pollIn(ctx, p.fd); err != nil {
			return Frame{}, fmt.Errorf("sniff on %s: %w", p.where, err)
		}
		n, from, err := unix.Recvfrom(p.fd, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return Frame{}, fmt.Errorf("sniff on %s: %w", p.where, os.NewSyscallError("recvfrom", err))
		}
		f := Frame{Data: append([]byte(nil), buf[:n]...)}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok {
			f.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
		}
		if filter == nil || filter(f) {
			return f, nil
		}
	}
}

// Collect returns all frames that the filter accepts until the context is
// done, which is no error here.
func (p *PacketSocket) Collect(ctx context.Context, filter func(Frame) bool) ([]Frame, error) {
	var all []Frame
	for {
		f, err := p.Sniff(ctx, filter)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
}

// Close closes the socket.
func (p *PacketSocket) Close() error {
	if p.fd < 0 {
		return nil
	}
	err := unix.Close(p.fd)
	p.fd = -1
	return err
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }
