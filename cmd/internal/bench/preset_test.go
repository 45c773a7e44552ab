// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// plan is what the flags stand for.
func plan(t *testing.T, args ...string) run.Plan {
	t.Helper()
	var o runOptions
	io, _, _ := streams.Test()
	cmd := newRunCommand(io)
	// The options that the command fills are its own: read them back by its flags.
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	o.quick, _ = cmd.Flags().GetBool("quick")
	o.full, _ = cmd.Flags().GetBool("full")
	o.programs, _ = cmd.Flags().GetBool("programs")
	o.iperf, _ = cmd.Flags().GetBool("iperf3")
	o.rounds, _ = cmd.Flags().GetInt("rounds")
	o.sample, _ = cmd.Flags().GetDuration("sample")
	o.warmup, _ = cmd.Flags().GetDuration("warmup")
	o.scenarios, _ = cmd.Flags().GetStringSlice("scenario")
	o.workloads, _ = cmd.Flags().GetStringSlice("workload")
	o.targets, _ = cmd.Flags().GetStringSlice("target")
	o.series, _ = cmd.Flags().GetStringSlice("series")
	o.families, _ = cmd.Flags().GetIntSlice("family")
	o.cpus, _ = cmd.Flags().GetIntSlice("cpus")
	p, err := o.plan(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPresets(t *testing.T) {
	for name, tc := range map[string]struct {
		args        []string
		least, most time.Duration
	}{
		"quick":   {[]string{"--quick"}, 80 * time.Second, 150 * time.Second},
		"default": {nil, 20 * time.Minute, 60 * time.Minute},
		"full":    {[]string{"--full"}, 2 * time.Hour, 12 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(t, tc.args...)
			if took := p.Duration(); took < tc.least || took > tc.most {
				t.Errorf("takes %v, want %v to %v", took, tc.least, tc.most)
			}
			if !p.Programs || len(p.Series) == 0 {
				t.Errorf("programs %v, %d series", p.Programs, len(p.Series))
			}
		})
	}
}

func TestWhatIsNamedIsMeasured(t *testing.T) {
	p := plan(t, "--scenario", "published,host", "--workload", "rr,limit", "--family", "4,6")
	var cells []string
	for _, c := range p.Cells {
		cells = append(cells, c.String())
	}
	want := []string{
		"published rr ipv4 on 1 CPU", "published limit ipv4 on 1 CPU", "host rr ipv4 on 1 CPU",
		"published rr ipv6 on 1 CPU", "published limit ipv6 on 1 CPU", "host rr ipv6 on 1 CPU",
	}
	if !slices.Equal(cells, want) || len(p.Series) > 0 || p.Programs || p.CrossCheck {
		t.Errorf("%q, %d series, programs %v", cells, len(p.Series), p.Programs)
	}
	p = plan(t, "--series", "ports,rules", "--target", "vethway")
	if len(p.Cells) > 0 || len(p.Series) != 2 || p.Series[0].Axis != run.Ports || p.Series[1].Axis != run.Rules {
		t.Errorf("%d cells, series %+v", len(p.Cells), p.Series)
	}
	if p := plan(t, "--series", "none", "--quick"); len(p.Cells) == 0 || len(p.Series) > 0 {
		t.Errorf("%d cells, %d series", len(p.Cells), len(p.Series))
	}
	if p := plan(t, "--programs"); len(p.Cells) > 0 || len(p.Series) > 0 || !p.Programs {
		t.Errorf("%d cells, %d series, programs %v", len(p.Cells), len(p.Series), p.Programs)
	}
}

// BIG TCP, docker-proxy and splicing take part where they say something, and nowhere else.
func TestWithout(t *testing.T) {
	for _, c := range plan(t).Cells {
		proxied := !slices.Contains(c.Without, dockerProxy)
		if local := c.Scenario == "host" || c.Scenario == "loopback" || c.Scenario == "hairpin"; proxied != (local && !c.Workload.Polls) {
			t.Errorf("%s: docker-proxy %v", c, proxied)
		}
		if spliced := !slices.Contains(c.Without, spliced); spliced != c.Workload.Polls {
			t.Errorf("%s: spliced %v", c, spliced)
		}
		for _, name := range big() {
			if !slices.Contains(c.Without, name) && c.Workload.Name != "stream-in" && c.Workload.Name != "stream-out" {
				t.Errorf("%s with %s", c, name)
			}
		}
	}
}
