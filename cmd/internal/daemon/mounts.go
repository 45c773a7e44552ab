// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"fmt"
	"strings"
)

// mount is a line of /proc/self/mountinfo.
type mount struct{ root, at, kind, source string }

// readMounts reads the machine's mounts, oldest first.
func readMounts(m machine) ([]mount, error) {
	r, err := m.mountinfo()
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	defer r.Close()
	var mounts []mount
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		// proc(5): optional fields end with a lone hyphen, which type and source follow.
		before, after, ok := strings.Cut(scan.Text(), " - ")
		first, second := strings.Fields(before), strings.Fields(after)
		if ok && len(first) >= 5 && len(second) >= 2 {
			mounts = append(mounts, mount{root: first[3], at: unescapeMount(first[4]), kind: second[0], source: second[1]})
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return mounts, nil
}

// unescapeMount undoes the octal escapes that the kernel writes for blanks in mount points.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
