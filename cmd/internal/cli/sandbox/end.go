// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// End ends the command of a record by SIGTERM, and by SIGKILL when the grace is over, and waits until its runner has
// taken the container down.
func (d Dir) End(ctx context.Context, r Record, grace time.Duration) error {
	if err := signalProcess(r, unix.SIGTERM); err != nil {
		return err
	}
	deadline := time.After(grace)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for r.Running() && d.has(r.Name) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop %s: %w", r.Name, ctx.Err())
		case <-deadline:
			if err := signalProcess(r, unix.SIGKILL); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
	return nil
}

// signalProcess is safe only while the runner lives: until it has waited for the command, the number is the command's.
func signalProcess(r Record, s unix.Signal) error {
	if !r.Running() {
		return nil
	}
	if err := unix.Kill(r.PID, s); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop %s: %w", r.Name, err)
	}
	return nil
}

func (d Dir) has(name string) bool {
	_, err := os.Stat(d.Namespace(name))
	return err == nil
}
