// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Command returns a command that runs a program inside the namespace. It goes
// through nsenter and not through ip netns exec, which would mount a new /sys
// and with it hide the BPF file system.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + n.Path(), "--", name}, args...)...)
	// Grandchildren may hold the pipes open after the program was killed.
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Run runs a program inside the namespace and returns what it printed. The
// error, if any, contains the output too.
func (n *Namespace) Run(ctx context.Context, name string, args ...string) (string, error) {
	return n.RunInput(ctx, "", name, args...)
}

// RunInput is Run with something on the standard input.
func (n *Namespace) RunInput(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := n.Command(ctx, name, args...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("run %s %s in %s: %w: %s",
			name, strings.Join(args, " "), n.name, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
