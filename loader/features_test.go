// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/test/behaviour"
)

func TestProbe(t *testing.T) {
	behaviour.NeedRoot(t)
	f, err := loader.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if names := f.Names(); len(names) == 0 || names[0] != "kernel-"+f.Kernel {
		t.Errorf("features: %q", names)
	}
}

func TestMissingCapability(t *testing.T) {
	behaviour.NeedRoot(t)
	for _, bit := range []int{unix.CAP_BPF, unix.CAP_NET_ADMIN} {
		failed := make(chan error)
		go func() {
			// The thread is not unlocked, so it ends with the goroutine.
			runtime.LockOSThread()
			if err := dropCapabilities(bit, unix.CAP_SYS_ADMIN); err != nil {
				failed <- err
				return
			}
			_, err := loader.Probe()
			failed <- err
		}()
		if err := <-failed; !errors.Is(err, loader.ErrMissingCapability) {
			t.Errorf("without capability %d: %v", bit, err)
		}
	}
}

func dropCapabilities(bits ...int) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return err
	}
	for _, bit := range bits {
		data[bit/32].Effective &^= 1 << (bit % 32)
	}
	return unix.Capset(&hdr, &data[0])
}

func TestEnsureBPFFS(t *testing.T) {
	behaviour.NeedRoot(t)
	at := t.TempDir()
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		if err := loader.EnsureBPFFS(at); err != nil {
			t.Fatal(err)
		}
	}
	// A directory on it needs no mount of its own.
	if err := loader.EnsureBPFFS(at + "/instance"); err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(mounts), " "+at); n != 1 {
		t.Errorf("%d mounts, want 1", n)
	}
}
