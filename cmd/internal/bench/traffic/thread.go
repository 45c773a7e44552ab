// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on an operating-system thread of its own, inside the network namespace and the cgroup and on the CPUs named. The
// goroutine ends locked, so that the runtime throws the thread away instead of using it again elsewhere.
func onThread(namespace, cgroup string, cpus []int, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			if err := enter(namespace); err != nil {
				return err
			}
			if cgroup != "" {
				if err := join(cgroup, "cgroup.threads"); err != nil {
					return err
				}
			}
			if err := pin(cpus); err != nil {
				return err
			}
			return f()
		}()
	}()
	return done
}

// join has this thread, or its process, make its sockets in a cgroup from now on (cgroups(7)).
func join(dir, file string) error {
	const self = "0"
	if err := os.WriteFile(filepath.Join(dir, file), []byte(self), 0); err != nil {
		return fmt.Errorf("join a cgroup: %w", err)
	}
	return nil
}

func enter(namespace string) error {
	fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", namespace, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", namespace, err)
	}
	return nil
}

func pin(cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin thread to CPUs %v: %w", cpus, err)
	}
	return nil
}

// AllowedCPUs lists the processors that this process may run on, in order.
func AllowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("ask for the CPUs of this process: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
