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

// Progress is how far a run is.
type Progress struct {
	Cell        string
	Number, All int
	Round       int
	Rounds      int
	Left        time.Duration
}

// steps counts what the plan consists of: cells, points of series included.
type steps struct{ now, all int }

func (s *steps) next() { s.now++ }

// say tells about a round of the present step.
func (r *runner) say(what string, round, rounds int) {
	if r.Progress == nil {
		return
	}
	done := (float64(r.steps.now-1) + float64(round)/float64(rounds)) / float64(r.steps.all)
	r.Progress(Progress{
		Cell: what, Number: r.steps.now, All: r.steps.all, Round: round + 1, Rounds: rounds, Left: r.clock.left(done, time.Now()),
	})
}
