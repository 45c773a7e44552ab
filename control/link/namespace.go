// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader/excursion"
)

// namespace is an open network namespace. It lives at least as long as it is held open.
type namespace struct {
	file   *os.File
	cookie uint64
}

func openNamespace(path string) (*namespace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := checkNamespace(f); err != nil {
		f.Close()
		return nil, err
	}
	n := &namespace{file: f}
	if err := n.do(func() error {
		n.cookie, err = socketCookie()
		return err
	}); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// checkNamespace tells a network namespace from other files. An empty regular file is what an unmounted bind mount leaves
// behind: the namespace was there once.
func checkNamespace(f *os.File) error {
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err == nil && kind == unix.CLONE_NEWNET {
		return nil
	}
	if info, statErr := f.Stat(); statErr == nil && info.Mode().IsRegular() && info.Size() == 0 {
		var fs unix.Statfs_t
		// Files of proc are empty by their size.
		if unix.Fstatfs(int(f.Fd()), &fs) == nil && fs.Type != unix.PROC_SUPER_MAGIC && fs.Type != unix.NSFS_MAGIC {
			return fmt.Errorf("%s is an empty file: %w", f.Name(), control.ErrNamespaceGone)
		}
	}
	return fmt.Errorf("%s is not a network namespace", f.Name())
}

// socketCookie returns the cookie of the thread's network namespace.
func socketCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("read the namespace's cookie (Linux 5.14 or newer): %w", err)
	}
	return cookie, nil
}

func (n *namespace) fd() int { return int(n.file.Fd()) }

func (n *namespace) Close() error { return n.file.Close() }

// do runs fn in the namespace; fn must not start goroutines that rely on it.
func (n *namespace) do(fn func() error) error { return excursion.Into(n.file, fn) }
