// SPDX-License-Identifier: Apache-2.0

package run

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	began := time.Unix(1000, 0)
	c := clock{began, 100 * time.Second}
	for _, tc := range []struct {
		done       float64
		took, want time.Duration
	}{
		{0, 3 * time.Second, 100 * time.Second},
		{0.5, 50 * time.Second, 50 * time.Second},
		{0.5, 100 * time.Second, 75 * time.Second}, // half by the plan, half by what was seen
		{1, 300 * time.Second, 0},
	} {
		if got := c.left(tc.done, began.Add(tc.took)); got != tc.want {
			t.Errorf("left(%v) after %v = %v, want %v", tc.done, tc.took, got, tc.want)
		}
	}
}
