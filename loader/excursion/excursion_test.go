// SPDX-License-Identifier: Apache-2.0

package excursion

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
)

func here(t *testing.T) string {
	t.Helper()
	ns, err := os.Readlink(Here)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// everywhere reports which namespaces goroutines find themselves in, on as many threads as it takes to meet a bad one.
func everywhere(t *testing.T) map[string]int {
	var mu sync.Mutex
	seen := make(map[string]int)
	var all, together sync.WaitGroup
	together.Add(64)
	for range 64 {
		all.Go(func() {
			// Those that are locked have a thread each.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ns := here(t)
			together.Done()
			together.Wait()
			mu.Lock()
			defer mu.Unlock()
			seen[ns]++
		})
	}
	all.Wait()
	return seen
}

func TestThereAndBack(t *testing.T) {
	behaviour.NeedRoot(t)
	home := here(t)
	failed := errors.New("failed")
	err := IntoNew(func() error {
		made := here(t)
		if made == home {
			t.Error("a new namespace is the old one")
		}
		ns, err := os.Open(Here)
		if err != nil {
			return err
		}
		defer ns.Close()
		err = IntoNew(func() error {
			return Into(ns, func() error {
				if got := here(t); got != made {
					t.Errorf("in %s, want %s", got, made)
				}
				return failed
			})
		})
		if got := here(t); got != made {
			t.Errorf("came back to %s, want %s", got, made)
		}
		return err
	})
	if !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	if seen := everywhere(t); len(seen) != 1 || seen[home] == 0 {
		t.Errorf("afterwards there are threads in %v, want %s alone", seen, home)
	}
	if err := Into(os.Stdin, func() error { t.Error("called nowhere"); return nil }); err == nil {
		t.Error("entered what is no namespace")
	}
}

// TestNoWayBack: who lost the right to go back must not do other goroutines' work.
func TestNoWayBack(t *testing.T) {
	behaviour.NeedRoot(t)
	home := here(t)
	err := IntoNew(func() error {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		return unix.Capset(&hdr, &none[0])
	})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "return to the own network namespace") {
		t.Errorf("error %v", err)
	}
	if seen := everywhere(t); len(seen) != 1 || seen[home] == 0 {
		t.Errorf("afterwards there are threads in %v, want %s alone", seen, home)
	}
}
