// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// No call blocks longer than this: a path that lost its packets fails the sample instead of hanging the run.
	patience = 3 * time.Second
	backlog  = 1024
	// Holds several scheduler slices' worth of small packets when sender and receiver share one CPU.
	datagramBuffer = 16 << 20
	// CongestionControl is set on every TCP socket: the default of many kernels now is bbr, which paces by timers: it measures its own model of the path.
	CongestionControl = "cubic"
)

// socket is a blocking one whose calls are raw, without the Go scheduler's book-keeping around system calls.
type socket int

// endpoint is an address as the kernel wants it.
type endpoint struct {
	name   netip.AddrPort
	family int
	raw    unix.RawSockaddrInet6 // an IPv4 address uses the head of it
	length uintptr
}

func newEndpoint(name netip.AddrPort) endpoint {
	ep := endpoint{name: name, family: unix.AF_INET6, length: unix.SizeofSockaddrInet6}
	port := swap(name.Port())
	if name.Addr().Is4() {
		ep.family, ep.length = unix.AF_INET, unix.SizeofSockaddrInet4
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&ep.raw))
		*v4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: name.Addr().As4()}
		return ep
	}
	ep.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: name.Addr().As16()}
	return ep
}

func newSocket(family, kind int) (socket, error) {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), uintptr(kind|unix.SOCK_CLOEXEC), 0)
	if errno != 0 {
		return -1, fmt.Errorf("make socket: %w", errno)
	}
	s := socket(fd)
	if err := s.prepare(kind); err != nil {
		s.close()
		return -1, err
	}
	return s, nil
}

func (s socket) prepare(kind int) error {
	wait := unix.NsecToTimeval(int64(patience))
	for _, name := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := setOption(s, unix.SOL_SOCKET, name, &wait); err != nil {
			return fmt.Errorf("set time limit of socket: %w", err)
		}
	}
	if kind != unix.SOCK_STREAM {
		size := int32(datagramBuffer)
		if err := setOption(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, &size); err != nil {
			return fmt.Errorf("set receive buffer: %w", err)
		}
		return nil
	}
	name := [len(CongestionControl)]byte([]byte(CongestionControl))
	if err := setOption(s, unix.IPPROTO_TCP, unix.TCP_CONGESTION, &name); err != nil {
		return fmt.Errorf("set congestion control %s: %w", CongestionControl, err)
	}
	return nil
}

// verify asks a TCP socket which congestion control it has: an accepted one has it from its listener.
func (s socket) verify() error {
	var name [16]byte
	length := uint32(len(name))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s), unix.IPPROTO_TCP, unix.TCP_CONGESTION,
		uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return fmt.Errorf("ask for the congestion control: %w", errno)
	}
	if got := unix.ByteSliceToString(name[:]); got != CongestionControl {
		return fmt.Errorf("a connection has the congestion control %s instead of %s", got, CongestionControl)
	}
	return nil
}

func setOption[T any](s socket, level, name int, value *T) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(s), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(value)), unsafe.Sizeof(*value), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func listen(at netip.AddrPort, kind int) (socket, error) {
	ep := newEndpoint(at)
	s, err := newSocket(ep.family, kind)
	if err != nil {
		return -1, err
	}
	on := int32(1)
	if err := setOption(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, &on); err != nil {
		s.close()
		return -1, fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if err := s.bind(&ep); err != nil {
		s.close()
		return -1, err
	}
	if kind == unix.SOCK_STREAM {
		if _, _, errno := unix.RawSyscall(unix.SYS_LISTEN, uintptr(s), backlog, 0); errno != 0 {
			s.close()
			return -1, fmt.Errorf("listen on %s: %w", at, errno)
		}
	}
	return s, nil
}

func (s socket) bind(ep *endpoint) error {
	_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(s), uintptr(unsafe.Pointer(&ep.raw)), ep.length)
	if errno != 0 {
		return fmt.Errorf("bind to %s: %w", ep.name, errno)
	}
	return nil
}

func dial(to *endpoint, kind int) (socket, error) {
	s, err := newSocket(to.family, kind)
	if err != nil {
		return -1, err
	}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(s), uintptr(unsafe.Pointer(&to.raw)), to.length)
	if errno != 0 {
		s.close()
		if errno == unix.EINPROGRESS {
			return -1, fmt.Errorf("connect to %s: no answer in %v", to.name, patience)
		}
		return -1, fmt.Errorf("connect to %s: %w", to.name, errno)
	}
	return s, nil
}

func (s socket) accept() (socket, error) {
	for {
		fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(s), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return socket(fd), nil
		case unix.EINTR:
		default:
			return -1, fmt.Errorf("accept: %w", errno)
		}
	}
}

func (s socket) noDelay() error {
	on := int32(1)
	if err := setOption(s, unix.IPPROTO_TCP, unix.TCP_NODELAY, &on); err != nil {
		return fmt.Errorf("set TCP_NODELAY: %w", err)
	}
	return nil
}

func (s socket) close() { unix.RawSyscall(unix.SYS_CLOSE, uintptr(s), 0, 0) }

// shut wakes whoever waits on the socket.
func (s socket) shut() { unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(s), unix.SHUT_RDWR, 0) }

func (s socket) send(p []byte) (int, error) {
	return s.transfer(unix.SYS_SENDTO, p, unix.MSG_NOSIGNAL)
}

// receive returns zero at the end of the stream.
func (s socket) receive(p []byte) (int, error) {
	return s.transfer(unix.SYS_RECVFROM, p, 0)
}

func (s socket) transfer(call uintptr, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(s), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// peer is who the other end is, as seen from here.
func (s socket) peer() (netip.AddrPort, error) {
	sa, err := unix.Getpeername(int(s))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask for the peer's address: %w", err)
	}
	return addrPort(sa), nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
