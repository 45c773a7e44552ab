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

func TestRunWithProxy(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	noLeaks(t)
	io, out, stderr := streams.Test()
	code := Main([]string{
		"run", "--target", "docker-proxy,routing", "--scenario", "published,masquerade,loopback,hairpin", "--workload", "rr,udp",
		"--rounds", "1", "--sample", "50ms", "--warmup", "10ms", "-o", "json", "--docker-proxy", "own",
	}, io)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var printed report.Report
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		t.Fatalf("the output is not JSON: %v\n%s", err, out)
	}
	var got []string
	for _, result := range printed.Results {
		if result.Target == "docker-proxy" && result.Workload == "rr" {
			got = append(got, result.Scenario)
		}
	}
	if want := []string{"published", "loopback", "hairpin"}; !slices.Equal(got, want) {
		t.Errorf("docker-proxy took part in %v, want %v", got, want)
	}
	if proof := printed.Machine.Targets["docker-proxy"].Proof; !strings.Contains(proof, "an equivalent of this project's own") {
		t.Errorf("the report does not say whose proxy it was: %s", proof)
	}
}
