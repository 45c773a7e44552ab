// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Source ports of new flows: each is used once in a sample, so that no flow is an old one that somebody on the way still
// remembers. A sample that needs more ends early.
const (
	firstSource = 1024
	sources     = 1<<16 - firstSource
)

// askAnew sends a datagram from a socket and a source port of its own for each exchange, and waits for the answer.
func (s *sample) askAnew(to *endpoint, m *meter) error {
	nobody := netip.IPv4Unspecified()
	if to.family == unix.AF_INET6 {
		nobody = netip.IPv6Unspecified()
	}
	// Every flow of the order has a part of the ports.
	share := sources / s.order.Flows
	first := firstSource + share*m.flow
	data := make([]byte, s.order.Size)
	m.begin()
	before := m.now()
	for port := first; port < first+share; port++ {
		from := newEndpoint(netip.AddrPortFrom(nobody, uint16(port)))
		err := exchangeAnew(&from, to, data)
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			return err
		}
		now := m.now()
		if m.counting {
			m.latency.Record(now - before)
		}
		if m.addAt(1, now) {
			return nil
		}
		before = now
	}
	m.cut(m.now())
	return nil
}

func exchangeAnew(from, to *endpoint, data []byte) error {
	conn, err := newSocket(to.family, sockDatagram)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := conn.bind(from); err != nil {
		return err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(conn), uintptr(unsafe.Pointer(&to.raw)), to.length); errno != 0 {
		return fmt.Errorf("connect to %s: %w", to.name, errno)
	}
	return exchange(connection{socket: conn}, data)
}

// answerAnew sends back every datagram.
func (s *sample) answerAnew(listener socket, m *meter) error {
	if m != s.meters[0] {
		return nil
	}
	data := make([]byte, s.order.Size)
	var from unix.RawSockaddrInet6
	for {
		length := uint32(unsafe.Sizeof(from))
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(listener), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)),
			0, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&length)))
		switch {
		case errno == unix.EINTR:
			continue
		case n == 0 && s.over.Load(), errno == unix.EAGAIN && s.over.Load():
			return nil
		case errno != 0:
			return describe("wait for a datagram", errno)
		}
		s.sawPeer(rawAddrPort(&from))
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(listener), uintptr(unsafe.Pointer(&data[0])), n,
			unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&from)), uintptr(length))
		if errno != 0 {
			return fmt.Errorf("answer a datagram: %w", errno)
		}
	}
}

// rawAddrPort reads what the kernel wrote.
func rawAddrPort(raw *unix.RawSockaddrInet6) netip.AddrPort {
	if raw.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), swap(v4.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(raw.Addr).Unmap(), swap(raw.Port))
}

// swap turns network byte order round; this benchmark runs on little-endian machines.
func swap(port uint16) uint16 { return port>>8 | port<<8 }
