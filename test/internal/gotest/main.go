// SPDX-License-Identifier: Apache-2.0

// Command gotest runs `go test` and closes with a summary that a person can
// read: which packages and tests failed, which were skipped and why, and where
// the time went. Arguments are passed on to `go test`. Under STRICT=1 it fails if
// any test was skipped, however it was.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/vethway/vethway/test/behaviour"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

// run feeds the JSON events of `go test` to a report that prints as they come.
func run(ctx context.Context, args []string) error {
	start := time.Now()
	// -count=1: a cached result proves nothing about the machine's state.
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("pipe from go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	rep := newReport(os.Stdout)
	readErr := rep.read(out)
	waitErr := cmd.Wait()
	rep.summary(time.Since(start))
	if err := errors.Join(readErr, waitErr); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	if rep.bad() {
		return errors.New("go test ended well, though something failed")
	}
	if behaviour.Strict() {
		return rep.strict()
	}
	return nil
}
