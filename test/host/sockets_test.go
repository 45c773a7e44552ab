// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
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
