// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/test/behaviour"
)

// fit is a machine that everything is right with.
func fit(t *testing.T) machine {
	return machine{
		release:      func() (string, error) { return "6.1.0-28-amd64", nil },
		capabilities: func() (uint64, error) { return ^uint64(0), nil },
		btf:          write(t, "BTF"),
	}
}

func TestMachine(t *testing.T) {
	behaviour.Covers(t, "R09", behaviour.None)
	without := func(c int) func(*machine) {
		return func(m *machine) { m.capabilities = func() (uint64, error) { return ^(uint64(1) << c), nil } }
	}
	kernel := func(release string) func(*machine) {
		return func(m *machine) { m.release = func() (string, error) { return release, nil } }
	}
	for _, tc := range []struct {
		name   string
		change func(*machine)
		code   exit.Code
		says   string
	}{
		{"fit", func(*machine) {}, exit.OK, ""},
		{"newer", kernel("7.0.0-rc1"), exit.OK, ""},
		{"no second dot", kernel("6.18-rc1"), exit.OK, ""},
		{"old minor", kernel("6.0.19"), exit.OldKernel, "6.0.19 is too old"},
		{"old major", kernel("5.15.0-91-generic"), exit.OldKernel, "5.15.0-91-generic is too old"},
		{"no BPF", without(unix.CAP_BPF), exit.Capability, "CAP_BPF is missing"},
		{"no net admin", without(unix.CAP_NET_ADMIN), exit.Capability, "CAP_NET_ADMIN is missing"},
		{"no raw sockets", without(unix.CAP_NET_RAW), exit.Capability, "CAP_NET_RAW is missing"},
		{"no sys admin", without(unix.CAP_SYS_ADMIN), exit.Capability, "CAP_SYS_ADMIN is missing"},
		{"no BTF", func(m *machine) { m.btf += ".gone" }, exit.NoBTF, "no BTF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := fit(t)
			tc.change(&m)
			err := m.check()
			if tc.code == exit.OK {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("check = %v, want one line with %q", err, tc.says)
			}
			if code, _ := exit.Classify(err); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
		})
	}
}

func TestCgroupRoot(t *testing.T) {
	const v1 = "30 23 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n"
	for _, tc := range []struct{ name, mounts, want string }{
		{"unified", "35 23 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"},
		{"hybrid", v1 + "34 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup rw\n", "/sys/fs/cgroup/unified"},
		{"blank in the path", `34 25 0:29 / /mnt/my\040cgroup rw - cgroup2 cgroup rw` + "\n", "/mnt/my cgroup"},
		{"a part comes first", "33 25 0:29 /a /mnt rw - cgroup2 cgroup rw\n34 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/sys/fs/cgroup"},
		{"none", v1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine{mountinfo: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(tc.mounts)), nil }}
			got, err := m.cgroupRoot()
			if got != tc.want {
				t.Errorf("cgroupRoot = %q, %v, want %q", got, err, tc.want)
			}
			if code, _ := exit.Classify(err); tc.want == "" && code != exit.NoCgroup {
				t.Errorf("exit code %d, want %d", code, exit.NoCgroup)
			}
		})
	}
}
