// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vethway/vethway/test/behaviour"
)

func newCgroup(t *testing.T) *Cgroup {
	t.Helper()
	c, err := NewCgroup("test")
	if errors.Is(err, ErrNoCgroup) {
		behaviour.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// member starts a process that waits, and puts it into the cgroup.
func member(t *testing.T, c *Cgroup) (pid string) {
	t.Helper()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // it ends with its input
	})
	pid = strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(filepath.Join(c.Path(), processes), []byte(pid), 0); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestCgroup(t *testing.T) {
	behaviour.NeedRoot(t)
	// Not parallel: Leaks looks at the whole process.
	c := newCgroup(t)
	other := newCgroup(t)
	if c.Path() == other.Path() {
		t.Errorf("two cgroups are %s", c.Path())
	}
	pid := member(t, c)
	if err := Leaks(); err == nil || !strings.Contains(err.Error(), "leaked cgroup "+c.Path()) {
		t.Errorf("a cgroup that is there is not reported: %v", err)
	}
	if err := errors.Join(c.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Path()); !os.IsNotExist(err) {
		t.Errorf("closed, and still there: %v", err)
	}
	theirs, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if v2(theirs) != v2(own) {
		t.Errorf("a process of it is in %s now, want %s", v2(theirs), v2(own))
	}
	if err := c.Close(); err == nil {
		t.Error("what is gone is removed again")
	}
}

func TestCgroupOfThreads(t *testing.T) {
	behaviour.NeedRoot(t)
	// Not parallel: it has no leaks meanwhile.
	c := newCgroup(t)
	threads, err := c.Threads("part")
	if err != nil {
		t.Fatal(err)
	}
	pid := member(t, c)
	join := func() error {
		return os.WriteFile(filepath.Join(threads.Path(), "cgroup.threads"), []byte(pid), 0)
	}
	if err := join(); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Base(c.Path()) + "/" + filepath.Base(threads.Path()); !strings.HasSuffix(v2(theirs), want) {
		t.Errorf("the thread is in %s, want %s", v2(theirs), want)
	}
	if err := threads.Close(); err == nil {
		t.Error("a cgroup is removed that a thread is in")
	}
	if err := os.WriteFile(filepath.Join(c.Path(), "cgroup.threads"), []byte(pid), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(threads.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}

func v2(lines []byte) string {
	for line := range strings.Lines(string(lines)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path)
		}
	}
	return ""
}

func TestSweepCgroups(t *testing.T) {
	behaviour.NeedRoot(t)
	// Not parallel: it has no leaks meanwhile.
	alive := newCgroup(t)
	root := filepath.Dir(alive.Path())
	// No process has a number that is as large.
	dead := filepath.Join(root, fmt.Sprintf("netlab-%d-test-", 1<<30))
	if err := os.MkdirAll(filepath.Join(dead, "part"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(root, "netlab-*"))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(left, dead) || !slices.Contains(left, alive.Path()) {
		t.Errorf("%v are left, want %s among them and not %s", left, alive.Path(), dead)
	}
	if err := alive.Close(); err != nil {
		t.Fatal(err)
	}
}
