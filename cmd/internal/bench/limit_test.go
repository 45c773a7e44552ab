// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/test/behaviour"
)

// The limits carry what they are the limits of, proven as everybody's way is; the programs of them are timed.
func TestRunLimits(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	noLeaks(t)
	for _, tc := range []struct {
		args, want string
	}{
		{"--scenario published,masquerade --workload crr,udp,limit --target least-nat --family 4,6",
			"published crr, published udp, published limit, masquerade crr, masquerade udp, masquerade limit"},
		{"--scenario c2c,host --workload rr,stream-in --target redirect,least-nat-bigtcp",
			"c2c stream-in, c2c rr, host stream-in, host rr"},
		{"--scenario c2c,host --workload rr,rr-poll,stream-in-poll --target least-splice --family 4,6",
			"c2c rr, c2c stream-in-poll, c2c rr-poll, host rr, host stream-in-poll, host rr-poll"},
		{"--programs --target least-nat", "published program, masquerade program, c2c program"},
	} {
		io, out, stderr := streams.Test()
		args := append([]string{"run", "--rounds", "2", "--sample", "50ms", "--warmup", "10ms", "-o", "json"}, strings.Fields(tc.args)...)
		if code := Main(args, io); code != 0 {
			t.Fatalf("%s: exit code %d: %s", tc.args, code, stderr)
		}
		var printed report.Report
		if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
			t.Fatalf("the output is not JSON: %v\n%s", err, out)
		}
		var got []string
		for _, result := range printed.Results {
			if cell := result.Scenario + " " + result.Workload; !slices.Contains(got, cell) {
				got = append(got, cell)
			}
			if result.Median <= 0 || result.Proof == "" || len(result.Good()) != len(result.Samples) {
				t.Errorf("%s: an implausible result: %+v", tc.args, result)
			}
		}
		if got := strings.Join(got, ", "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.args, got, tc.want)
		}
	}
}
