// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
)

// systemBPFFS is where every distribution mounts the BPF file system.
const systemBPFFS = "/sys/fs/bpf"

// ensureBPFFS makes dir, mounting a BPF file system if none is there: on /sys/fs/bpf for a directory below it, on the
// directory itself otherwise.
func ensureBPFFS(dir string, log *slog.Logger) error {
	above, err := existingAncestor(dir)
	if err != nil {
		return err
	}
	on, err := isBPFFS(above)
	if err != nil {
		return err
	}
	if !on {
		if err := mountBPFFS(mountPoint(dir), log); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the pin directory: %w", err)
	}
	return nil
}

func mountPoint(dir string) string {
	if dir == systemBPFFS || strings.HasPrefix(dir, systemBPFFS+"/") {
		return systemBPFFS
	}
	return dir
}

func mountBPFFS(at string, log *slog.Logger) error {
	if at != systemBPFFS {
		if err := os.MkdirAll(at, 0o700); err != nil {
			return fmt.Errorf("make the pin directory: %w", err)
		}
	}
	if err := unix.Mount("bpf", at, "bpf", 0, "mode=0700"); err != nil {
		return exit.Errorf(exit.NoBPFFS, "mount a BPF file system on %s: %w", at, err).WithHint("mount -t bpf bpf %s", at)
	}
	// `ip netns exec` gives each command a mount namespace of its own: a mount made there, and all pins with it, ends
	// with the daemon, and packets with it.
	if private, err := privateMounts(); err == nil && private {
		log.Warn("the BPF file system was mounted in a mount namespace of its own: pins end with it; enter a network namespace by `nsenter --net=` instead of `ip netns exec`", "path", at)
	}
	return nil
}

func existingAncestor(dir string) (string, error) {
	for {
		_, err := os.Stat(dir)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return "", fmt.Errorf("look for the BPF file system: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}

func isBPFFS(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, fmt.Errorf("look for the BPF file system at %s: %w", path, err)
	}
	return st.Type == unix.BPF_FS_MAGIC, nil
}

func privateMounts() (bool, error) {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return false, fmt.Errorf("read own mount namespace: %w", err)
	}
	first, err := os.Readlink("/proc/1/ns/mnt")
	if err != nil {
		return false, fmt.Errorf("read the first mount namespace: %w", err)
	}
	return own != first, nil
}

// removeBPFFS removes the directory, and the mount if it was made for it alone. What is not empty is not ours to remove.
func removeBPFFS(dir string) error {
	if mountPoint(dir) == dir {
		if on, err := isBPFFS(dir); err == nil && on {
			if err := unix.Unmount(dir, 0); err != nil {
				return fmt.Errorf("unmount %s: %w", dir, err)
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the pin directory: %w", err)
	}
	return nil
}
