// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

func TestWriteGoals(t *testing.T) {
	r := &Report{Goals: []Goal{
		{Group: "one CPU", Name: "rr", Own: 200, Theirs: 100, Unit: "rr/s", Value: 2, Low: 1.9, High: 2.1, Want: 1.4, State: Met,
			Limit: &Limit{Target: "least-nat", Value: 2.1, Share: stats.Interval{Median: 0.952}}, Direct: &Limit{Value: 2.5, Share: stats.Interval{Median: 0.8}}},
		{Group: "one CPU", Name: "udp", Own: 150, Theirs: 100, Unit: "udp/s", Value: 1.5, Low: 1.4, High: 1.5, Want: 1.53, State: Limited},
		{Group: "one CPU", Name: "crr", Want: 1.45, State: Unmeasured, Note: "no such result"},
		{Group: "publishing", Name: "all", Own: 25, Unit: "ms", Value: 25, Low: 19, High: 30, Want: 20, AtMost: true, State: Missed},
	}}
	var out bytes.Buffer
	if err := r.WriteGoals(&out); err != nil {
		t.Fatal(err)
	}
	const want = `GOAL         OWN        RIVAL'S    VALUE    SPREAD        WANTED           STATE       LIMIT            OF IT  DIRECT  OF IT  NOTE
One CPU:
  rr         200 rr/s   100 rr/s   2.00x    1.90 to 2.10  at least 1.40    met         least-nat 2.10x  95 %   2.50x   80 %   -
  udp        150 udp/s  100 udp/s  1.50x    1.40 to 1.50  at least 1.53    limited     -                -      -       -      -
  crr        -          -          -        -             at least 1.45    unmeasured  -                -      -       -      no such result
Publishing:
  all        25.0 ms    -          25.0 ms  19.0 to 30.0  at most 20.0 ms  missed      -                -      -       -      -

LIMIT is the least that anybody has to do, measured in the same rounds; DIRECT a veth without a host.
4 goals: 1 met, 1 missed (1 of them within the spread), 1 limited by what the kernel gives, 1 not measured by this run.
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}
