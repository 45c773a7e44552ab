// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// Datagrams that one system call moves; it hides the call's own cost, which is the same for every way.
	batchSize   = 32
	maxDatagram = 1400
)

// mmsghdr is the kernel's; x/sys has no name for it.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      uint32
}

// batch is a row of message headers over one row of buffers.
type batch struct {
	headers [batchSize]mmsghdr
	vectors [batchSize]unix.Iovec
	data    []byte
}

func newBatch(size int) *batch {
	b := &batch{data: make([]byte, batchSize*size)}
	for i := range b.headers {
		b.vectors[i].Base = &b.data[i*size]
		b.vectors[i].SetLen(size)
		b.headers[i].header.Iov = &b.vectors[i]
		b.headers[i].header.SetIovlen(1)
	}
	return b
}

// move sends or receives as many as the kernel takes or has, and waits only for the first.
func (b *batch) move(call uintptr, s socket, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(s), uintptr(unsafe.Pointer(&b.headers[0])), batchSize, flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// flood greets the server, so that the flow is known in both directions to whoever tracks it, and sends without a pause.
func (s *sample) flood(to *endpoint, _ *meter) error {
	conn, err := dial(to, sockDatagram)
	if err != nil {
		return err
	}
	defer conn.close()
	greeting := make([]byte, s.order.Size)
	if _, err := conn.send(greeting); err != nil {
		return describe("send greeting", err)
	}
	if _, err := conn.receive(greeting); err != nil {
		return describe("wait for the answer to the greeting", err)
	}
	s.flooding.Add(1)
	defer s.flooding.Add(-1)
	b := newBatch(s.order.Size)
	for !s.over.Load() {
		n, err := b.move(unix.SYS_SENDMMSG, conn, 0)
		if err != nil {
			return describe("send datagrams", err)
		}
		s.sent.Add(uint64(n))
	}
	return nil
}

// collect answers every flow's greeting and counts what follows. One thread receives for all flows.
func (s *sample) collect(listener socket, m *meter) error {
	if m != s.meters[0] {
		return nil
	}
	// However this ends, the senders must not wait for it.
	defer s.over.Store(true)
	if err := s.greet(listener); err != nil {
		return err
	}
	b := newBatch(s.order.Size)
	m.begin()
	for {
		n, err := b.move(unix.SYS_RECVMMSG, listener, unix.MSG_WAITFORONE)
		if err != nil {
			return describe("receive datagrams", err)
		}
		s.arrived += uint64(n)
		if m.add(n) {
			s.over.Store(true)
			return s.drainDatagrams(b, listener)
		}
	}
}

// drainDatagrams counts what is still on its way when the time is over: it is late, not lost.
func (s *sample) drainDatagrams(b *batch, listener socket) error {
	const nap = time.Millisecond
	for quiet := false; ; {
		n, err := b.move(unix.SYS_RECVMMSG, listener, unix.MSG_DONTWAIT)
		switch {
		case err == nil:
			s.arrived += uint64(n)
			quiet = false
		case !errors.Is(err, unix.EAGAIN):
			return describe("receive the last datagrams", err)
		case quiet:
			return nil
		default:
			quiet = s.flooding.Load() == 0
			time.Sleep(nap)
		}
	}
}

func (s *sample) greet(listener socket) error {
	greeting := make([]byte, s.order.Size)
	// What the first flow floods while another has yet to greet is dropped here.
	greeted := make(map[netip.AddrPort]bool)
	for len(greeted) < s.order.Flows {
		n, sa, err := unix.Recvfrom(int(listener), greeting, 0)
		if err != nil {
			return describe("wait for a greeting", err)
		}
		from := addrPort(sa)
		if greeted[from] {
			continue
		}
		if err := unix.Sendto(int(listener), greeting[:n], 0, sa); err != nil {
			return fmt.Errorf("answer a greeting: %w", err)
		}
		s.sawPeer(from)
		greeted[from] = true
	}
	return nil
}
