// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/loader/mounts"
)

// machine is what the daemon looks at before it starts. The zero value is the real one; tests replace what they need.
type machine struct {
	release      func() (string, error) // uname -r
	capabilities func() (uint64, error) // the effective set
	btf          string                 // path
	mountinfo    func() (io.ReadCloser, error)
}

// BTFPath is where a kernel built with CONFIG_DEBUG_INFO_BTF shows its types.
const BTFPath = "/sys/kernel/btf/vmlinux"

// needed is every capability that the daemon uses, with what for.
var needed = []struct {
	number int
	name   string
	use    string
}{
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "make bridges, veths and routes, attach programs"},
	{unix.CAP_NET_RAW, "CAP_NET_RAW", "announce addresses"},
	{unix.CAP_BPF, "CAP_BPF", "load programs and maps"},
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "enter containers' network namespaces"},
}

// system returns the machine that the process runs on.
func system() machine {
	return machine{
		release: func() (string, error) {
			var u unix.Utsname
			if err := unix.Uname(&u); err != nil {
				return "", fmt.Errorf("uname: %w", err)
			}
			return unix.ByteSliceToString(u.Release[:]), nil
		},
		capabilities: effectiveCapabilities,
		btf:          BTFPath,
		mountinfo:    func() (io.ReadCloser, error) { return os.Open(mounts.Path) },
	}
}

// check looks for everything whose lack would make a later step fail with an error that is harder to read.
func (m machine) check() error {
	if err := m.checkKernel(); err != nil {
		return err
	}
	if err := m.checkCapabilities(); err != nil {
		return err
	}
	if _, err := os.Stat(m.btf); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return exit.Errorf(exit.NoBTF, "the kernel carries no BTF: %s does not exist", m.btf).WithHint("a kernel built with CONFIG_DEBUG_INFO_BTF=y, as every current distribution's is")
		}
		return fmt.Errorf("look for BTF: %w", err)
	}
	return nil
}

func (m machine) checkKernel() error {
	release, err := m.release()
	if err != nil {
		return err
	}
	major, minor, err := parseRelease(release)
	if err != nil {
		return err
	}
	if major < 6 || major == 6 && minor < 1 {
		return exit.Errorf(exit.OldKernel, "kernel %s is too old: vethway needs 6.1 or newer", release).WithHint("uname -r")
	}
	return nil
}

func parseRelease(release string) (major, minor int, err error) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return 0, 0, fmt.Errorf("kernel release %q: want MAJOR.MINOR", release)
	}
	digits := strings.IndexFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		parts[1] = parts[1][:digits]
	}
	major, err = strconv.Atoi(parts[0])
	if err == nil {
		minor, err = strconv.Atoi(parts[1])
	}
	if err != nil {
		return 0, 0, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return major, minor, nil
}

func (m machine) checkCapabilities() error {
	have, err := m.capabilities()
	if err != nil {
		return err
	}
	for _, c := range needed {
		if have&(1<<c.number) == 0 {
			return exit.Errorf(exit.Capability, "%s is missing: it is needed to %s", c.name, c.use).WithHint("sudo vethwayd")
		}
	}
	return nil
}

func effectiveCapabilities() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, fmt.Errorf("read capabilities: %w", err)
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, nil
}

// mounts reads the machine's mounts, oldest first.
func (m machine) mounts() ([]mounts.Mount, error) {
	r, err := m.mountinfo()
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	defer r.Close()
	return mounts.Read(r)
}

// cgroupRoot returns where the cgroup v2 hierarchy is mounted.
func (m machine) cgroupRoot() (string, error) {
	list, err := m.mounts()
	if err != nil {
		return "", err
	}
	if at, ok := mounts.CgroupRoot(list); ok {
		return at, nil
	}
	return "", exit.Errorf(exit.NoCgroup, "no cgroup v2 hierarchy is mounted").WithHint("mount -t cgroup2 none /sys/fs/cgroup")
}
