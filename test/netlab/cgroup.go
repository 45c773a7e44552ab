// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/loader/mounts"
)

// ErrNoCgroup is returned where no cgroup v2 hierarchy is mounted.
var ErrNoCgroup = errors.New("no cgroup v2 hierarchy is mounted")

// Cgroup is a cgroup of the v2 hierarchy, right below its root. Programs that are
// attached to it see the sockets that processes make while they are in it
// (cgroups(7)), and nobody else's.
type Cgroup struct{ path string }

// NewCgroup makes one without processes, whose directory has name in its own.
func NewCgroup(name string) (*Cgroup, error) {
	root, err := CgroupRoot()
	if err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w", name, err)
	}
	path, err := os.MkdirTemp(root, dirPrefix()+name+"-")
	if err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w", name, err)
	}
	return &Cgroup{path}, nil
}

// Threads makes a cgroup below this one for single threads of the processes that
// are in it: a thread that joins by its cgroup.threads makes its sockets in there.
// That costs microseconds, where moving a process waits for the whole machine to
// pass a grace period.
func (c *Cgroup) Threads(name string) (*Cgroup, error) {
	path, err := os.MkdirTemp(c.path, name+"-")
	if err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(path, "cgroup.type"), []byte("threaded"), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("make cgroup %s one of threads: %w", name, err), os.Remove(path))
	}
	return &Cgroup{path}, nil
}

// Path is the cgroup's directory.
func (c *Cgroup) Path() string { return c.path }

// Close sends the processes that are still in it to the cgroup of this one, and
// removes it, with those below. Threads must have left by themselves.
func (c *Cgroup) Close() error {
	if err := removeCgroup(c.path); err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	return nil
}

// CgroupRoot is the directory of the cgroup that all processes are below.
func CgroupRoot() (string, error) {
	list, err := mounts.Open()
	if err != nil {
		return "", err
	}
	root, ok := mounts.CgroupRoot(list)
	if !ok {
		return "", ErrNoCgroup
	}
	return root, nil
}

const processes = "cgroup.procs"

func removeCgroup(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	// What is only of threads lists no processes.
	pids, err := os.ReadFile(filepath.Join(path, processes))
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	own, err := ownCgroup()
	if err != nil {
		return err
	}
	for pid := range bytes.Lines(pids) {
		err := os.WriteFile(filepath.Join(own, processes), pid, 0)
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
			return fmt.Errorf("move process %s out of %s: %w", bytes.TrimSpace(pid), path, err)
		}
	}
	// A thread that has ended is there for a while.
	for range 100 {
		if err = os.Remove(path); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// ownCgroup is the directory of the cgroup that this process is in.
func ownCgroup() (string, error) {
	root, err := CgroupRoot()
	if err != nil {
		return "", err
	}
	lines, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(lines)) {
		// The line of v2 has neither a number nor controllers. What is outside of the cgroup namespace begins with /.. and cannot be had.
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok && !strings.HasPrefix(path, "/..") {
			return filepath.Join(root, path), nil
		}
	}
	return root, nil
}

// cgroups lists the directories that begin with prefix; none where there is no
// such hierarchy.
func cgroups(prefix string) ([]string, error) {
	root, err := CgroupRoot()
	if errors.Is(err, ErrNoCgroup) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(root, prefix+"*"))
}
