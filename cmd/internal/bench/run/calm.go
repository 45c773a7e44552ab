// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/traffic"
)

const (
	// A machine is calm that has been busy for less than calmShare of each of calmGlances in a row.
	calmShare   = 0.2
	calmGlances = 5
	glance      = 200 * time.Millisecond
	// unrest is how long a machine that does not become calm is waited for.
	unrest = 2 * time.Minute
)

// calm waits until what the building of targets has set off is over. Whoever joins a bridge tells all others, several times; where such a
// packet passes the rules of a thousand ports at each of 470 of the bridge's, the kernel answers nobody for half a minute, and whichever
// target has its turn then has no figure.
func (r *runner) calm(ctx context.Context) error {
	cpus, err := traffic.AllowedCPUs()
	if err != nil {
		return err
	}
	calm, err := awaitCalm(len(cpus), int(unrest/glance), func() (float64, error) {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(glance):
		}
		return traffic.BusySeconds(cpus)
	})
	if err != nil {
		return fmt.Errorf("wait for idle CPUs: %w", err)
	}
	if !calm {
		r.Log.Warn("the CPUs have not become idle", "after", unrest)
	}
	return nil
}

// awaitCalm looks at the time that CPUs have been busy for, a glance apart, until they are calm, and at most so many times.
func awaitCalm(cpus, most int, busy func() (float64, error)) (bool, error) {
	before, err := busy()
	for quiet := 0; err == nil && most > 0; most-- {
		now := 0.0
		if now, err = busy(); err != nil {
			break
		}
		quiet++
		if now-before > calmShare*float64(cpus)*glance.Seconds() {
			quiet = 0
		}
		if quiet == calmGlances {
			return true, nil
		}
		before = now
	}
	return false, err
}
