// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// bpftool runs it and returns what it printed.
func bpftool(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "bpftool", args...)
	cmd.Stdin = strings.NewReader(input)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("bpftool %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}
