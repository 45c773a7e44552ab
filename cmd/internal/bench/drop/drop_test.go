// SPDX-License-Identifier: Apache-2.0

package drop

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	r := &Report{Results: []Result{
		{Target: "xdp", Family: 4, Samples: []Sample{{Rate: 300, Nanoseconds: 10}, {Rate: 600, Nanoseconds: 20}, {Rate: 900, Nanoseconds: 10}}},
		{Target: Baseline, Family: 6, Samples: []Sample{{Rate: 1}}},
		{Target: Baseline, Family: 4, Samples: []Sample{{Rate: 100, Nanoseconds: 40}, {Rate: 100, Nanoseconds: 40}, {Rate: 300, Nanoseconds: 50}}},
	}}
	r.summarize()
	xdp := r.Results[0]
	if xdp.Median != 600 || xdp.Min != 300 || xdp.Max != 900 {
		t.Errorf("rates %+v", xdp)
	}
	if xdp.Ratio.Median != 3 || xdp.Ratio.Max != 6 || xdp.Efficiency.Median != 4 || xdp.Efficiency.Min != 2 {
		t.Errorf("ratio %+v, efficiency %+v", xdp.Ratio, xdp.Efficiency)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "xdp ") {
		t.Errorf("%v\n%s", err, &b)
	}
}

func TestParseCounter(t *testing.T) {
	text := "table netdev bench {\n\tcounter dropped {\n\t\tpackets 17 bytes 2040\n\t}\n}\n"
	if n, err := parseCounter(text); err != nil || n != 17 {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "packets", "packets x"} {
		if n, err := parseCounter(bad); err == nil {
			t.Errorf("%q: %d", bad, n)
		}
	}
}

func TestBadConfigs(t *testing.T) {
	for says, cfg := range map[string]Config{
		"-1 prefixes": {Prefixes: -1, Rounds: 1, Sample: time.Second}, "40000 prefixes": {Prefixes: 40000, Rounds: 1, Sample: time.Second},
		"0 rounds": {Sample: time.Second}, "a sample of 0s": {Rounds: 1},
	} {
		cfg.Log = slog.New(slog.DiscardHandler)
		if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want something with %q", cfg, err, says)
		}
	}
}
