// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/netlab"
)

// listenDual listens on [::] for both families, in the namespace of the calling thread, and stops at once.
func listenDual(p uint16) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0),
		unix.Bind(fd, &unix.SockaddrInet6{Port: int(p)}),
	)
	return errors.Join(err, unix.Close(fd))
}

// sendRaw has the stack of the namespace send an IP packet that is complete.
func (l lab) sendRaw(from *netlab.Namespace, to netip.Addr, packet []byte) {
	l.Helper()
	l.must(from.Do(func() error {
		family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.As16()})
		if to.Is4() {
			family, sa = unix.AF_INET, &unix.SockaddrInet4{Addr: to.As4()}
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		return errors.Join(os.NewSyscallError("sendto", unix.Sendto(fd, packet, 0, sa)), unix.Close(fd))
	}))
}

// connectRaw is connect with an address of any family.
func connectRaw(fd int, sa *unix.RawSockaddr) error {
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(sa)), unsafe.Sizeof(*sa)); errno != 0 {
		return os.NewSyscallError("connect", errno)
	}
	return nil
}
