// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"testing"
)

func TestAwaitCalm(t *testing.T) {
	const cpus, all, little = 2, 0.4, 0.06 // seconds of a glance
	gone := errors.New("gone")
	for name, tc := range map[string]struct {
		busy    []float64 // in each glance; the last one goes on
		most    int
		calm    bool
		glances int
		err     error
	}{
		"at once":               {[]float64{0}, 100, true, 5, nil},
		"a little is calm":      {[]float64{little}, 100, true, 5, nil},
		"after a while":         {[]float64{all, all, all, 0}, 100, true, 8, nil},
		"quiet only in between": {[]float64{0, 0, 0, 0, all, 0}, 100, true, 10, nil},
		"never":                 {[]float64{all}, 20, false, 20, nil},
		"nobody can tell":       {[]float64{all, -1}, 20, false, 1, gone},
	} {
		var sum float64
		glances := -1 // the first look has nothing before it
		calm, err := awaitCalm(cpus, tc.most, func() (float64, error) {
			if glances++; glances == 0 {
				return sum, nil
			}
			busy := tc.busy[min(glances, len(tc.busy))-1]
			if busy < 0 {
				glances--
				return 0, gone
			}
			sum += busy
			return sum, nil
		})
		if calm != tc.calm || glances != tc.glances || !errors.Is(err, tc.err) {
			t.Errorf("%s: calm %v after %d glances, %v; want %v after %d, %v", name, calm, glances, err, tc.calm, tc.glances, tc.err)
		}
	}
}
