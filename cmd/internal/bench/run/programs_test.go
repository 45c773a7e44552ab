// SPDX-License-Identifier: Apache-2.0

package run

import (
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/test/rivals"
)

// A program's time is that of the way that it is said to have taken, or there is none.
func TestProgramWay(t *testing.T) {
	const runs = programSamples * programRuns
	for name, tc := range map[string]struct {
		scenario, workload string
		counted            uint64
		hairpins           bool
		wrong              string
	}{
		"a flow":                            {"published", program, runs, false, ""},
		"a flow, after a hairpin":           {"hairpin", program, runs, true, ""},
		"a flow that was missed":            {"published", program, 1, false, "another way"},
		"neighbours":                        {"c2c", program, 2, false, ""},
		"neighbours that had met":           {"c2c", program, 2, true, "another way between neighbours"},
		"neighbours with a flow":            {"c2c", program, runs, false, "another way"},
		"neighbours after a hairpin":        {"c2c", programHairpins, 2, true, ""},
		"neighbours that should have met":   {"c2c", programHairpins, 2, false, "another way between neighbours"},
		"masqueraded, and half of it found": {"masquerade", program, runs / 2, false, "another way"},
	} {
		shown, err := programWay(report.Result{Scenario: tc.scenario, Workload: tc.workload},
			rivals.Counters{"in flows": 7}, rivals.Counters{"in flows": 7 + tc.counted}, tc.hairpins)
		if (err != nil) != (tc.wrong != "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%s: %s, %v, want %q", name, shown, err, tc.wrong)
		}
	}
	if shown, err := programWay(report.Result{Scenario: "c2c"}, rivals.Counters{}, rivals.Counters{}, false); err != nil || shown == "" {
		t.Errorf("who counts no flows: %q, %v", shown, err)
	}
}
