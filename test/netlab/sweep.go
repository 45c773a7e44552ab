// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Sweep removes the namespaces and cgroups of processes that were killed before
// they could clean up. Those of living processes stay. Programs that make
// topologies may call it when they start.
func Sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "netlab-*-*"))
	if err != nil {
		return err
	}
	groups, err := cgroups("netlab-*-")
	return errors.Join(err, sweep(dirs, sweepDir), sweep(groups, removeCgroup))
}

// sweep removes those directories whose names have the pid of a process that is no more.
func sweep(dirs []string, remove func(string) error) error {
	var errs []error
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), "netlab-"), "-")
		if n, err := strconv.Atoi(pid); err != nil || n <= 0 {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := remove(dir); err != nil {
			errs = append(errs, fmt.Errorf("sweep %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// sweepDir removes one namespace, and its public name if it had one.
func sweepDir(dir string) error {
	path := filepath.Join(dir, "net")
	var errs []error
	var own unix.Stat_t
	if unix.Stat(path, &own) == nil {
		public, err := os.ReadDir(namedDir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range public {
			name := filepath.Join(namedDir, e.Name())
			var st unix.Stat_t
			if unix.Stat(name, &st) == nil && st.Dev == own.Dev && st.Ino == own.Ino {
				errs = append(errs, unmount(name), remove(name))
			}
		}
	}
	return errors.Join(append(errs, unmount(path), remove(path), remove(dir))...)
}
