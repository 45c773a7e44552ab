// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// consoleLines is how much of the console is shown if the machine ends early.
const consoleLines = 30

// boot runs the machine to its end, and has its tests judged. An error means that
// it did not get to the end.
func boot(ctx context.Context, c config, k kernel, initrd string, j *judge) error {
	ctx, cancel := context.WithTimeout(ctx, c.time)
	defer cancel()
	console := filepath.Join(c.dir, "console.log")
	if err := os.WriteFile(console, nil, 0o644); err != nil {
		return fmt.Errorf("make the console: %w", err)
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-nodefaults", "-nographic", "-no-reboot", "-m", "3072", "-smp", "2",
		"-kernel", k.image, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=1",
		"-serial", "file:"+console, "-serial", "stdio")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("pipe from qemu: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start qemu: %w", err)
	}
	lines := bufio.NewReader(out)
	var readErr error
	for readErr == nil {
		var line string
		if line, readErr = lines.ReadString('\n'); line != "" {
			j.line(line)
		}
	}
	waitErr := cmd.Wait()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the machine was not done after %s", c.time)
	case ctx.Err() != nil:
		return ctx.Err()
	case waitErr != nil:
		return fmt.Errorf("qemu: %w", waitErr)
	case j.done:
		return nil
	}
	text, err := os.ReadFile(console)
	if err != nil {
		return fmt.Errorf("read the console: %w", err)
	}
	all := bytes.Split(text, []byte("\n"))
	return fmt.Errorf("the machine ended early; the last of its console:\n%s", bytes.Join(all[max(0, len(all)-consoleLines):], []byte("\n")))
}
