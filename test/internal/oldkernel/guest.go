// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// The second serial line is the tests' own: on the first one the kernel speaks
// whenever it likes, in the middle of a line, too.
const testLine = "/dev/ttyS1"

// What the machine says beside its tests. A test cannot say so by accident.
const (
	beginMark = "\x02begin "
	exitMark  = "\x02exit "
	errorMark = "\x02error "
	doneMark  = "\x02done"
)

// guest is /init: it does what the plan says, and powers the machine off.
func guest() {
	if err := work(); err != nil {
		fmt.Println(err) // on the console, if the other line is not there
	}
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("power off:", err)
	}
}

func work() error {
	if err := mounts(); err != nil {
		return err
	}
	out, err := os.OpenFile(testLine, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := suitesOf(out); err != nil {
		fmt.Fprintf(out, "%s%v\n", errorMark, err)
	} else {
		fmt.Fprintln(out, doneMark)
	}
	// Power goes off at once: wait until all has been sent.
	return errors.Join(unix.IoctlSetInt(int(out.Fd()), unix.TCSBRK, 1), out.Close())
}

func mounts() error {
	for _, m := range []struct{ kind, at string }{
		{"devtmpfs", "/dev"},
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"tmpfs", "/run"},
		{"tmpfs", "/tmp"},
		{"bpf", "/sys/fs/bpf"},
		{"cgroup2", "/sys/fs/cgroup"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// suitesOf loads the modules and runs the tests of the plan.
func suitesOf(out *os.File) error {
	text, err := os.ReadFile("/" + planFile)
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var job plan
	if err := json.Unmarshal(text, &job); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	for _, m := range job.Modules {
		if err := load(m); err != nil {
			return fmt.Errorf("load %s: %w", m, err)
		}
	}
	for _, s := range job.Suites {
		fmt.Fprintf(out, "%s%s\n", beginMark, s.Name)
		cmd := exec.Command("/tests/"+s.Name, s.Args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = "/tmp", out, out
		cmd.Env = []string{"PATH=/bin", "HOME=/tmp"} // no STRICT: the judge knows which skips may be
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			return fmt.Errorf("run %s: %w", s.Name, err)
		}
		fmt.Fprintf(out, "%s%s %s\n", exitMark, s.Name, cmd.ProcessState)
	}
	return nil
}

func load(module string) error {
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	return errors.Join(unix.FinitModule(int(f.Fd()), "", 0), f.Close())
}
