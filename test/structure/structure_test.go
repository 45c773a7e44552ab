// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRepository holds the rules against this repository.
func TestRepository(t *testing.T) {
	top := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(top, "go.mod")); err != nil {
		t.Fatalf("find the top of the repository: %v", err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			bad, err := r.check(os.DirFS(top))
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range bad {
				t.Error(b)
			}
		})
	}
}
