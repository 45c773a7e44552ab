// SPDX-License-Identifier: Apache-2.0

package hostlab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// program is the daemon's name.
const program = "vethwayd"

// Build builds vethwayd into a directory, for tests, and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, program)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, "github.com/vethway/vethway/cmd/vethwayd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build vethwayd: %w\n%s", err, out)
	}
	return path, nil
}

// Find finds vethwayd beside the running program, where `make build` puts it, or in PATH.
func Find() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find vethwayd: %w", err)
	}
	beside := filepath.Join(filepath.Dir(self), program)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("find vethwayd: it is neither beside %s nor in PATH: `make build` builds it: %w", self, err)
	}
	return filepath.Abs(path)
}
