// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ICMP types that the probes deal with.
const (
	icmpEchoReply    = 0
	icmpUnreachable  = 3
	icmpEcho         = 8
	icmpTimeExceeded = 11

	icmp6Unreachable  = 1
	icmp6TooBig       = 2
	icmp6TimeExceeded = 3
	icmp6Echo         = 128
	icmp6EchoReply    = 129
)

// PingOptions varies an echo request.
type PingOptions struct {
	ID      uint16 // as it leaves the sender
	Seq     uint16
	Source  netip.Addr
	TTL     int // 0 is the kernel's default
	Size    int // bytes of payload; 0 is 56
	DF      bool
	Timeout time.Duration // 0 is the context's deadline, or four seconds
}

// PingReply is the reply to an echo request.
type PingReply struct {
	From    netip.Addr
	ID, Seq uint16
	RTT     time.Duration
}

// ICMPError is what somebody on the way answered instead of a reply.
type ICMPError struct {
	From       netip.Addr
	Type, Code uint8
	Info       uint32 // the MTU in "too big" messages
}

// Error makes it an error.
func (e *ICMPError) Error() string {
	return fmt.Sprintf("ICMP type %d code %d from %s", e.Type, e.Code, e.From)
}

// Ping sends one echo request from inside the namespace, by a raw socket so
// that the identifier is the caller's choice, and waits for the reply to it.
// An ICMP error about the request is returned as *ICMPError.
func Ping(ctx context.Context, ns *Namespace, to netip.Addr, opts PingOptions) (PingReply, error) {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	reply, err := ping(ctx, ns, to, opts)
	if err != nil {
		return PingReply{}, fmt.Errorf("ping %s from %s: %w", to, ns.Name(), err)
	}
	return reply, nil
}

func ping(ctx context.Context, ns *Namespace, to netip.Addr, opts PingOptions) (PingReply, error) {
	fd, err := pingSocket(ns, to, opts)
	if err != nil {
		return PingReply{}, err
	}
	defer unix.Close(fd)

	if opts.Size == 0 {
		opts.Size = 56
	}
	request := make([]byte, 8+opts.Size)
	request[0] = icmpEcho
	if !is4(to) {
		request[0] = icmp6Echo // the kernel fills in the checksum
	}
	binary.BigEndian.PutUint16(request[4:], opts.ID)
	binary.BigEndian.PutUint16(request[6:], opts.Seq)
	for i := range request[8:] {
		request[8+i] = byte(i)
	}
	if is4(to) {
		binary.BigEndian.PutUint16(request[2:], Checksum(request))
	}
	start := time.Now()
	if err := unix.Sendto(fd, request, 0, sockaddr(to)); err != nil {
		return PingReply{}, os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 65536)
	for {
		if err := pollIn(ctx, fd); err != nil {
			return PingReply{}, err
		}
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return PingReply{}, os.NewSyscallError("recvfrom", err)
		}
		sender := addrOf(from)
		msg := buf[:n]
		if is4(to) {
			if msg = stripIPv4(msg); msg == nil {
				continue
			}
		}
		if ok, err := matchReply(msg, sender, request, to); err != nil {
			return PingReply{}, err
		} else if ok {
			return PingReply{From: sender, ID: opts.ID, Seq: opts.Seq, RTT: time.Since(start)}, nil
		}
	}
}

func pingSocket(ns *Namespace, to netip.Addr, opts PingOptions) (int, error) {
	family, proto, level, ttl, mtu := unix.AF_INET, unix.IPPROTO_ICMP, unix.IPPROTO_IP, unix.IP_TTL, unix.IP_MTU_DISCOVER
	if !is4(to) {
		family, proto, level, ttl, mtu = unix.AF_INET6, unix.IPPROTO_ICMPV6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_MTU_DISCOVER
	}
	fd := -1
	err := ns.Do(func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return -1, err
	}
	var errs []error
	if opts.TTL != 0 {
		errs = append(errs, unix.SetsockoptInt(fd, level, ttl, opts.TTL))
	}
	discover := unix.IP_PMTUDISC_DONT
	if opts.DF {
		discover = unix.IP_PMTUDISC_PROBE // DF, and a cached path MTU is ignored
	}
	errs = append(errs, unix.SetsockoptInt(fd, level, mtu, discover))
	if opts.Source.IsValid() {
		errs = append(errs, unix.Bind(fd, sockaddr(opts.Source)))
	}
	if err := errors.Join(errs...); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("prepare socket: %w", err)
	}
	return fd, nil
}

// matchReply tells whether an ICMP message answers the request. A raw socket
// sees all ICMP of its namespace, the request itself included when it goes to
// an own address.
func matchReply(msg []byte, from netip.Addr, request []byte, to netip.Addr) (bool, error) {
	if len(msg) < 8 {
		return false, nil
	}
	v4 := is4(to)
	switch kind := msg[0]; {
	case v4 && kind == icmpEchoReply, !v4 && kind == icmp6EchoReply:
		return string(msg[4:]) == string(request[4:]), nil
	case v4 && (kind == icmpUnreachable || kind == icmpTimeExceeded),
		!v4 && (kind == icmp6Unreachable || kind == icmp6TooBig || kind == icmp6TimeExceeded):
		inner := msg[8:]
		if v4 {
			inner = stripIPv4(inner)
		} else if len(inner) >= 40 {
			inner = inner[40:]
		}
		if len(inner) < 8 || inner[0] != request[0] || string(inner[4:8]) != string(request[4:8]) {
			return false, nil
		}
		return false, &ICMPError{From: from, Type: msg[0], Code: msg[1], Info: binary.BigEndian.Uint32(msg[4:])}
	}
	return false, nil
}

// stripIPv4 cuts the IPv4 header off, or returns nil.
func stripIPv4(p []byte) []byte {
	if len(p) < 20 {
		return nil
	}
	ihl := int(p[0]&0xf) * 4
	if ihl < 20 || ihl > len(p) {
		return nil
	}
	return p[ihl:]
}

// pollIn waits until the descriptor can be read or the context is done.
func pollIn(ctx context.Context, fd int) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Short turns, because a context cannot wake poll.
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 20)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
	}
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a = a.Unmap(); a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

func addrOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr)
	}
	return netip.Addr{}
}
