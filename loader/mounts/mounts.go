// SPDX-License-Identifier: Apache-2.0

// Package mounts reads what is mounted where.
package mounts

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// Path is where the kernel tells a process what it sees (proc_pid_mountinfo(5)).
const Path = "/proc/self/mountinfo"

// Mount is a line of it. Root is the part of the file system that is seen at At.
type Mount struct{ Root, At, Kind, Source string }

// Open reads those of this process, oldest first.
func Open() ([]Mount, error) {
	f, err := os.Open(Path)
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	defer f.Close()
	return Read(f)
}

// Read reads lines as Path has them. What is no such line is left out.
func Read(r io.Reader) ([]Mount, error) {
	var list []Mount
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		// Optional fields end with a lone hyphen, which type and source follow.
		before, after, ok := strings.Cut(scan.Text(), " - ")
		first, second := strings.Fields(before), strings.Fields(after)
		if ok && len(first) >= 5 && len(second) >= 2 {
			list = append(list, Mount{Root: first[3], At: unescape(first[4]), Kind: second[0], Source: second[1]})
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return list, nil
}

// unescape undoes the octal escapes that the kernel writes for blanks in mount points.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// CgroupRoot finds where the cgroup v2 hierarchy is: /sys/fs/cgroup, or beside v1 on hybrid machines. False: nowhere.
func CgroupRoot(list []Mount) (string, bool) {
	for _, m := range list {
		// A root other than / is a part of the hierarchy, as seen from inside a container.
		if m.Kind == "cgroup2" && m.Root == "/" {
			return m.At, true
		}
	}
	return "", false
}
