// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Within runs f on a thread inside the network namespace at path; with an empty path it just runs f. f must do its work
// on the goroutine that calls it: what it starts with go runs outside. A process that it starts stays inside.
func Within(path string, f func() error) error {
	if path == "" {
		return f()
	}
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer ns.Close()
	return excursion(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", path, err)
		}
		return f()
	})
}

// withinNew runs f on a thread in a network namespace of its own, which ends unless f gives somebody hold of it.
func withinNew(f func() error) error {
	return excursion(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		return f()
	})
}

// excursion runs f, which may change the thread's namespace, and brings the thread back. A thread that cannot go back
// stays locked, and ends with its goroutine instead of serving others from the wrong namespace. (Letting it end always
// would be simpler, but the main thread cannot end: /proc/self/ns/net, which is the main thread's, would be wrong for ever.)
func excursion(f func() error) error {
	runtime.LockOSThread()
	back, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer back.Close()
	defer func() {
		if unix.Setns(int(back.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}
