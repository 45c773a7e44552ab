// SPDX-License-Identifier: Apache-2.0

// Package excursion runs functions in other network namespaces than the process's own. What it knows of threads is the same for whoever
// goes there: loader, control/link and commands alike.
package excursion

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Here is the network namespace of the thread that opens it; /proc/self/ns/net is the main thread's.
const Here = "/proc/thread-self/ns/net"

// Into runs f in a network namespace. What f starts with go runs outside; a process that it starts stays inside. /proc/sys/net shows
// f the namespace's.
func Into(ns *os.File, f func() error) error {
	return run(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", ns.Name(), err)
		}
		return f()
	})
}

// IntoNew is Into a network namespace that is made for it, and ends with it unless f gives somebody hold of it.
func IntoNew(f func() error) error {
	return run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		return f()
	})
}

// run runs f, which may change the thread's namespace, and brings the thread back. A thread that cannot go back stays locked, and ends with
// its goroutine instead of serving others from the wrong namespace. (Letting it end always would be simpler, but the main thread cannot
// end: /proc/self/ns/net would be wrong for ever.)
func run(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(Here)
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open the thread's own network namespace: %w", err)
			return
		}
		defer home.Close()
		err = f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		} else {
			err = errors.Join(err, fmt.Errorf("return to the own network namespace: %w", back))
		}
		result <- err
	}()
	return <-result
}
