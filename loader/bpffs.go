// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// EnsureBPFFS makes dir a directory on a BPF file system: it is made, and a BPF file system is mounted on it unless it
// lies on one. Such a mount is the caller's to remove.
func EnsureBPFFS(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make pin directory: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look for a BPF file system at %s: %w", dir, err)
	}
	if st.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount a BPF file system on %s: %w", dir, err)
	}
	return nil
}
