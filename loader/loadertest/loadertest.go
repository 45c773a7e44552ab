// SPDX-License-Identifier: Apache-2.0

// Package loadertest makes what tests that load programs need: a BPF file system and a cgroup of their own.
package loadertest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
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
	c, err := netlab.NewCgroup("test")
	if errors.Is(err, netlab.ErrNoCgroup) {
		behaviour.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c.Path()
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
