// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"path/filepath"
	"testing"
)

// Where the BPF file system is mounted is not ours to remove, whatever directly below it was an instance's.
func TestRemovePinsBelowTheMount(t *testing.T) {
	dir := filepath.Join(systemBPFFS, "vethway-test-never-made")
	if err := removeBPFFS(dir); err != nil {
		t.Errorf("remove %s, which is gone already: %v", dir, err)
	}
}
