// SPDX-License-Identifier: Apache-2.0

package behaviour

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// StrictEnv set to 1 makes a skip a failure, as in CI: a machine that silently
// tests less must not look healthy.
const StrictEnv = "STRICT"

// Strict reports whether a skip is a failure.
func Strict() bool { return os.Getenv(StrictEnv) == "1" }

// Skip ends the test because it cannot run here, and says why. Under STRICT=1
// it fails instead.
func Skip(t testing.TB, why string) {
	t.Helper()
	if Strict() {
		t.Fatalf("cannot run, and STRICT=1 forbids to skip: %s", why)
	}
	t.Skipf("skipped: %s", why)
}

// NeedRoot skips unless the test runs as root. With -short it always skips, and
// never fails: that is how `make test-unit` leaves out what needs the kernel,
// whoever runs it.
func NeedRoot(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: needs root, and -short asks for the pure tests only")
	}
	if os.Geteuid() != 0 {
		Skip(t, "needs root: run it with sudo")
	}
}

// NeedTool skips unless every named program is found in PATH.
func NeedTool(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Skip(t, "needs "+name+": `sudo make deps` installs it")
		}
	}
}

// NeedLinux skips on a kernel before major.minor, which is the first to have what is named.
func NeedLinux(t testing.TB, major, minor int, what string) {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatalf("ask for the kernel's version: %v", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	var has [2]int
	if _, err := fmt.Sscanf(release, "%d.%d", &has[0], &has[1]); err != nil {
		t.Fatalf("the kernel's version is %q: %v", release, err)
	}
	if slices.Compare(has[:], []int{major, minor}) < 0 {
		Skip(t, fmt.Sprintf("needs Linux %d.%d, for %s", major, minor, what))
	}
}
