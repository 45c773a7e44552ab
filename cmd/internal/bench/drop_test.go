// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/drop"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
)

func TestDropFromEndToEnd(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nft", "nsenter")
	noLeaks(t)
	bin := t.TempDir()
	if _, err := hostlab.Build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	io, out, stderr := streams.Test()
	code := Main([]string{"drop", "--rounds", "1", "--prefixes", "3", "--warmup", "0", "--sample", "20ms", "-o", "json"}, io)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var printed drop.Report
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		t.Fatalf("the output is not JSON: %v\n%s", err, out)
	}
	if len(printed.Results) != 6 {
		t.Errorf("%d results, want three targets in two families", len(printed.Results))
	}
	for _, res := range printed.Results {
		if res.Median <= 0 || len(res.Samples) != 1 || res.Ratio.Median <= 0 {
			t.Errorf("an implausible result: %+v", res)
		}
	}
}
