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

// mountSource is what our own mounts show as their device, by which uninstalling knows them again.
const mountSource = "vethway"

// ensureBPFFS makes dir. If no BPF file system is there, one is mounted: on /sys/fs/bpf for a directory below it, on the
// parent otherwise, which must be empty then. (Not on the directory itself: the kernel puts two files into the root of
// every BPF file system, and only pins of ours are to be in dir.)
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
	if strings.HasPrefix(dir, systemBPFFS+"/") {
		return systemBPFFS
	}
	return filepath.Dir(dir)
}

func mountBPFFS(at string, log *slog.Logger) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return exit.Errorf(exit.NoBPFFS, "make the mount point of the BPF file system: %w", err)
	}
	files, err := os.ReadDir(at)
	if err != nil {
		return fmt.Errorf("look at the mount point of the BPF file system: %w", err)
	}
	if len(files) > 0 {
		return exit.Errorf(exit.NoBPFFS, "%s is no BPF file system, and not empty", at).
			WithHint("mount -t bpf bpf DIRECTORY, and --bpffs DIRECTORY/vethway")
	}
	if err := unix.Mount(mountSource, at, "bpf", 0, "mode=0700"); err != nil {
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

// removeBPFFS removes the directory, and a mount of ours that holds nothing else. What is not empty is not ours to
// remove.
func removeBPFFS(dir string) error {
	if err := removeEmpty(dir); err != nil {
		return err
	}
	at := mountPoint(dir)
	list, err := system().mounts()
	if err != nil {
		return err
	}
	// The first instance's parent directory, /sys/fs/bpf/vethway, is ours as well; where it is mounted is not.
	if at == systemBPFFS {
		if parent := filepath.Dir(dir); parent != at {
			return removeEmpty(parent)
		}
		return nil
	}
	for _, m := range list {
		if m.At != at || m.Kind != "bpf" || m.Source != mountSource {
			continue
		}
		if files, err := os.ReadDir(at); err != nil || !onlyKernels(files) {
			return err
		}
		// Detached, as our own lock on the directory still holds the file system.
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
		return removeEmpty(at)
	}
	return nil
}

// onlyKernels: nothing but what the kernel puts into a new BPF file system.
func onlyKernels(files []fs.DirEntry) bool {
	for _, f := range files {
		if f.Name() != "maps.debug" && f.Name() != "progs.debug" {
			return false
		}
	}
	return true
}
