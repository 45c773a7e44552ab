// SPDX-License-Identifier: Apache-2.0

package hostlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// program is the daemon's name.
const program = "vethwayd"

// Build builds vethwayd into a directory, for tests, and returns its path. Where one lies beside the test program,
// it is taken: somebody has built both, to run them where there is no Go.
func Build(ctx context.Context, dir string) (string, error) {
	if path, err := besideSelf(); err == nil {
		return path, nil
	}
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
	beside, err := besideSelf()
	if err == nil {
		return beside, nil
	}
	path, pathErr := exec.LookPath(program)
	if pathErr != nil {
		return "", fmt.Errorf("find vethwayd: `make build` builds it: %w", errors.Join(err, pathErr))
	}
	return filepath.Abs(path)
}

func besideSelf() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the running program: %w", err)
	}
	path := filepath.Join(filepath.Dir(self), program)
	_, err = os.Stat(path)
	return path, err
}
