// SPDX-License-Identifier: Apache-2.0

package hostlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const labPrefix = "vethway-lab-"

func dirPrefix(pid int) string { return fmt.Sprintf("%s%d-", labPrefix, pid) }

// Sweep removes what processes left that were killed before they could clean up: with its mount, all that is pinned.
func Sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), labPrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), labPrefix), "-")
		if n, err := strconv.Atoi(pid); err != nil || n <= 0 {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			errs = append(errs, removeDir(dir))
		}
	}
	return errors.Join(errs...)
}

// Leaks reports labs of this process that were not closed.
func Leaks() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix(os.Getpid())+"*"))
	if err != nil || len(dirs) == 0 {
		return err
	}
	return fmt.Errorf("leaked labs: %v", dirs)
}

// removeDir removes a lab's directory, and what is still mounted in it: the BPF file system, and the namespaces for fragments.
func removeDir(dir string) error {
	for _, at := range []string{"bpf", "run/detour", "run/cutter"} {
		err := unix.Unmount(filepath.Join(dir, at), unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			err = nil // not mounted
		}
		if err != nil {
			return fmt.Errorf("unmount %s of %s: %w", at, dir, err)
		}
	}
	return os.RemoveAll(dir)
}
