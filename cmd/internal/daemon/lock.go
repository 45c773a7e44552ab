// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

// lockFile is the name of the lock inside the state directory.
const lockFile = "lock"

// lock is held by the one daemon (or uninstall) that works on a state directory. The kernel drops it when the process
// dies, however it dies.
type lock struct{ file *os.File }

// acquire locks the state directory; the error carries exit.Running and names the holder.
func acquire(stateDir string) (*lock, error) {
	path := filepath.Join(stateDir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, busy(f, stateDir)
	}
	l := &lock{file: f}
	if err := l.sign(); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func busy(f *os.File, stateDir string) error {
	text, _ := io.ReadAll(io.LimitReader(f, 32))
	pid := strings.TrimSpace(string(text))
	if pid == "" {
		pid = "unknown"
	}
	err := exit.Errorf(exit.Of(api.Locked), "another daemon (pid %s) runs on %s", pid, stateDir)
	return err.WithHint("vethway status, or another --instance")
}

// acquirePins locks the pin directory itself: a daemon with another state must not adopt, or take away, what one that
// runs has pinned there. A directory that does not exist yet is nobody's.
func acquirePins(dir string) (*lock, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the pin directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &lock{file: f}, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, exit.Errorf(exit.Of(api.Locked), "another daemon uses the pins in %s", dir).WithHint("another --instance, or another --bpffs")
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write the lock: %w", err)
	}
	if _, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("write the lock: %w", err)
	}
	return nil
}

// release may be called of a nil lock.
func (l *lock) release() error {
	if l == nil {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release the lock: %w", err)
	}
	return nil
}
