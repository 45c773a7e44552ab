// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Group is the group that may use the sockets, where it exists.
const Group = "vethway"

// Listen opens a unix socket at path with mode 0660, owned by the group vethway where that exists. A socket that
// nobody listens on any more is replaced; one that somebody does, or a file of another kind, is an error.
func Listen(path string) (net.Listener, error) {
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the socket's directory: %w", err)
	}
	// The socket is made under another name and renamed when its mode is right, so that nobody can connect before.
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove a left-over socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := hand(temporary, path); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(temporary))
	}
	return &socket{UnixListener: l, path: path}, nil
}

// socket removes its file when it is closed.
type socket struct {
	*net.UnixListener
	path string
}

func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if rm := os.Remove(s.path); rm != nil && !errors.Is(rm, fs.ErrNotExist) && err == nil {
		err = rm
	}
	return err
}

// hand gives a new socket its mode, group and name.
func hand(temporary, path string) error {
	if err := os.Chmod(temporary, 0o660); err != nil {
		return fmt.Errorf("set the socket's mode: %w", err)
	}
	if g, err := user.LookupGroup(Group); err == nil {
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return fmt.Errorf("group %s: %w", Group, err)
		}
		if err := os.Chown(temporary, -1, gid); err != nil {
			return fmt.Errorf("give the socket to group %s: %w", Group, err)
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("name the socket: %w", err)
	}
	return nil
}

// clearSocket removes a dead socket.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return Errorf(Conflict, "%s is there and is no socket", path).WithHint("move it away, or choose another socket")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return Errorf(Locked, "a daemon listens on %s already", path).
			WithHint("ask it: curl --unix-socket %s http://vethway/v1/status", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("try the socket %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the dead socket %s: %w", path, err)
	}
	return nil
}
