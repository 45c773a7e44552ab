// SPDX-License-Identifier: Apache-2.0

// Package loadertest makes what tests that load programs need: a BPF file system and a cgroup of their own.
package loadertest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/test/behaviour"
)

// BPFFS mounts a BPF file system that goes with the test, and returns a directory on it that does not exist yet.
func BPFFS(t testing.TB) string {
	t.Helper()
	behaviour.NeedRoot(t)
	at := t.TempDir()
	if err := loader.EnsureBPFFS(at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Errorf("unmount %s: %v", at, err)
		}
	})
	return filepath.Join(at, "instance")
}

// Cgroup makes a cgroup that goes with the test, so that programs attached to it see nobody's sockets.
func Cgroup(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(cgroupRoot(t), "vethway-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("remove cgroup: %v", err)
		}
	})
	return dir
}

func cgroupRoot(t testing.TB) string {
	t.Helper()
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 && fields[3] == "/" {
			return fields[4]
		}
	}
	behaviour.Skip(t, "needs a mounted cgroup v2 hierarchy")
	return ""
}

// Leaks reports descriptors of maps, programs and links that are still open.
func Leaks() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	var errs []error
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(target, "anon_inode:bpf") {
			errs = append(errs, fmt.Errorf("leaked descriptor %s on %s", fd.Name(), target))
		}
	}
	return errors.Join(errs...)
}
