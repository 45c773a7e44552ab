// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// connection is one of TCP. One that polls does not block in send and receive, but waits until it is told that it need
// not, as the sockets of programs with an event loop do.
type connection struct {
	socket
	polls bool
}

func (s *sample) dial(to *endpoint) (connection, error) { return s.prepare(dial(to, sockStream)) }

func (s *sample) accept(listener socket) (connection, error) { return s.prepare(listener.accept()) }

// prepare makes a connection of a socket as the order wants it.
func (s *sample) prepare(c socket, err error) (connection, error) {
	if err != nil {
		return connection{}, err
	}
	if s.order.Polls {
		if err := unix.SetNonblock(int(c), true); err != nil {
			c.close()
			return connection{}, fmt.Errorf("make socket non-blocking: %w", err)
		}
	}
	return connection{c, s.order.Polls}, nil
}

func (c connection) send(p []byte) (int, error) {
	for {
		n, err := c.socket.send(p)
		if err != unix.EAGAIN || !c.polls {
			return n, err
		}
		if err := c.wait(unix.POLLOUT); err != nil {
			return 0, err
		}
	}
}

// receive returns zero at the end of the stream.
func (c connection) receive(p []byte) (int, error) {
	for {
		n, err := c.socket.receive(p)
		if err != unix.EAGAIN || !c.polls {
			return n, err
		}
		if err := c.wait(unix.POLLIN); err != nil {
			return 0, err
		}
	}
}

// wait is for as long as a socket that blocks would.
func (c connection) wait(events int16) error {
	fds := unix.PollFd{Fd: int32(c.socket), Events: events}
	for {
		limit := unix.NsecToTimespec(patience.Nanoseconds())
		n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return errno
		case n == 0:
			return unix.EAGAIN
		default:
			return nil
		}
	}
}

// account notes how much of what was read came as no packet: TCP does not know of that.
func (c connection) account(m *meter, read uint64) error {
	info, err := unix.GetsockoptTCPInfo(int(c.socket), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return fmt.Errorf("ask what TCP has received: %w", err)
	}
	if m.read = read; info.Bytes_received < read {
		m.spliced = read - info.Bytes_received
	}
	return nil
}
