// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"slices"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	list, err := Read(strings.NewReader(`22 1 0:21 / /proc rw shared:5 - proc proc rw
cut off
30 22 0:26 /part /a\040b rw - cgroup2 none rw
31 22 0:26 / /sys/fs/cgroup/unified rw shared:7 master:8 - cgroup2 none rw
`))
	want := []Mount{{"/", "/proc", "proc", "proc"}, {"/part", "/a b", "cgroup2", "none"}, {"/", "/sys/fs/cgroup/unified", "cgroup2", "none"}}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("%+v, %v, want %+v", list, err, want)
	}
	if at, ok := CgroupRoot(list); !ok || at != "/sys/fs/cgroup/unified" {
		t.Errorf("cgroup v2 at %q, %v", at, ok)
	}
	if at, ok := CgroupRoot(list[:2]); ok {
		t.Errorf("a part of the hierarchy at %q is taken for all of it", at)
	}
}

func TestOpen(t *testing.T) {
	list, err := Open()
	if err != nil || !slices.ContainsFunc(list, func(m Mount) bool { return m.At == "/proc" && m.Kind == "proc" }) {
		t.Errorf("%d mounts and no /proc, %v", len(list), err)
	}
}
