// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vethway/vethway/loader/mounts"
)

// dirPrefix begins the name of every private directory of this process.
func dirPrefix() string { return fmt.Sprintf("netlab-%d-", os.Getpid()) }

// Leaks reports what this process made and did not clean up: namespaces that
// are still mounted, descriptors that still hold one, threads that never came
// back from one, and cgroups. Interfaces need no check of their own, since each of
// them lives in a namespace of ours and goes with it. Call it when every
// topology is closed; it returns nil when nothing is left.
func Leaks() error {
	return errors.Join(leakedDirs(), leakedMounts(), leakedFiles(), leakedThreads(), leakedCgroups())
}

func leakedDirs() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix()+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range dirs {
		errs = append(errs, fmt.Errorf("leaked namespace directory %s", d))
	}
	return errors.Join(errs...)
}

func leakedMounts() error {
	list, err := mounts.Open()
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range list {
		if strings.Contains(m.At, "/"+dirPrefix()) {
			errs = append(errs, fmt.Errorf("leaked mount %s of %s", m.At, m.Root))
		}
	}
	return errors.Join(errs...)
}

func leakedFiles() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	var errs []error
	for _, fd := range fds {
		// The descriptor of the directory itself is gone by now.
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(target, "net:[") {
			errs = append(errs, fmt.Errorf("leaked descriptor %s on %s", fd.Name(), target))
		}
	}
	return errors.Join(errs...)
}

func leakedThreads() error {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var errs []error
	for _, task := range tasks {
		ns, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net")
		if err == nil && ns != own {
			errs = append(errs, fmt.Errorf("thread %s still in namespace %s", task.Name(), ns))
		}
	}
	return errors.Join(errs...)
}

func leakedCgroups() error {
	dirs, err := cgroups(dirPrefix())
	var errs []error
	for _, d := range dirs {
		errs = append(errs, fmt.Errorf("leaked cgroup %s", d))
	}
	return errors.Join(append(errs, err)...)
}
