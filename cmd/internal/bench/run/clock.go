// SPDX-License-Identifier: Apache-2.0

package run

import "time"

// clock tells how much longer a run takes: by the plan at first, and by how fast it went the longer it runs.
type clock struct {
	began   time.Time
	planned time.Duration
}

func newClock(planned time.Duration) clock { return clock{time.Now(), planned} }

func (c clock) left(done float64, now time.Time) time.Duration {
	planned := time.Duration((1 - done) * float64(c.planned))
	if done <= 0 {
		return planned
	}
	seen := time.Duration((1 - done) / done * float64(now.Sub(c.began)))
	return time.Duration(done*float64(seen) + (1-done)*float64(planned))
}
