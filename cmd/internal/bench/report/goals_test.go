// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"testing"
)

func TestWriteGoals(t *testing.T) {
	r := &Report{Goals: []Goal{
		{Group: "one CPU", Name: "rr", Own: 200, Theirs: 100, Unit: "rr/s", Value: 2, Low: 1.9, High: 2.1, Want: 1.4, State: Met},
		{Group: "one CPU", Name: "crr", Want: 1.45, State: Unmeasured, Note: "no such result"},
		{Group: "publishing", Name: "all", Own: 25, Unit: "ms", Value: 25, Low: 19, High: 30, Want: 20, AtMost: true, State: Missed},
	}}
	var out bytes.Buffer
	if err := r.WriteGoals(&out); err != nil {
		t.Fatal(err)
	}
	const want = `GOAL         OWN       RIVAL'S   VALUE    SPREAD        WANTED           STATE       NOTE
One CPU:
  rr         200 rr/s  100 rr/s  2.00x    1.90 to 2.10  at least 1.40    met         -
  crr        -         -         -        -             at least 1.45    unmeasured  no such result
Publishing:
  all        25.0 ms   -         25.0 ms  19.0 to 30.0  at most 20.0 ms  missed      -

3 goals: 1 met, 1 missed, 1 not measured by this run.
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}
