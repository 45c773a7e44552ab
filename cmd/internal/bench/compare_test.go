// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/compare"
)

func TestCompare(t *testing.T) {
	base := []float64{100, 100, 100, 100, 100, 100}
	before := saved(t, base, []float64{140, 141, 142, 142, 143, 144})
	after := saved(t, base, []float64{120, 121, 122, 122, 123, 124})
	stdout, stderr, code := command(t, "compare", before, after)
	if want := "published\trr\tipv4\t1\tvethway\t1.42x\t1.22x\t-14.1 %\t0.0022\tslower\t\n"; code != 0 || stdout != want {
		t.Errorf("exit code %d: %s\ngot  %q\nwant %q", code, stderr, stdout, want)
	}
	if _, stderr, code := command(t, "compare", before, after, "--fail-on-slower"); code != 1 || !strings.Contains(stderr, "slower than before: 1 of 1 cells") {
		t.Errorf("--fail-on-slower: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := command(t, "compare", after, before, "--fail-on-slower"); code != 0 {
		t.Errorf("what is faster fails: %s", stderr)
	}
	stdout, _, _ = command(t, "compare", before, before, "-o", "json")
	var c compare.Comparison
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || c.Version != compare.Version || c.Cells[0].Verdict != compare.NotShown {
		t.Errorf("%v in\n%s", err, stdout)
	}
	if stdout, _, _ := command(t, "compare", before, before, "--changed"); stdout != "" {
		t.Errorf("--changed lists what has not: %s", stdout)
	}
}
