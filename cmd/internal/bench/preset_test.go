// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/test/rivals"
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
	o.builds, _ = cmd.Flags().GetInt("builds")
	o.sample, _ = cmd.Flags().GetDuration("sample")
	o.warmup, _ = cmd.Flags().GetDuration("warmup")
	o.scenarios, _ = cmd.Flags().GetStringSlice("scenario")
	o.workloads, _ = cmd.Flags().GetStringSlice("workload")
	o.targets, _ = cmd.Flags().GetStringSlice("target")
	o.series, _ = cmd.Flags().GetStringSlice("series")
	o.families, _ = cmd.Flags().GetIntSlice("family")
	o.cpus, _ = cmd.Flags().GetIntSlice("cpus")
	o.other, _ = cmd.Flags().GetString("other")
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
		"quick":   {[]string{"--quick"}, 80 * time.Second, 160 * time.Second},
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

// BIG TCP, docker-proxy, splicing and limits take part where they say something, and nowhere else.
func TestWithout(t *testing.T) {
	for _, c := range slices.Concat(plan(t).Cells, plan(t, "--quick").Cells) {
		proxied := !slices.Contains(c.Without, dockerProxy)
		if local := c.Scenario == "host" || c.Scenario == "loopback" || c.Scenario == "hairpin"; proxied != (local && !c.Workload.Polls) {
			t.Errorf("%s: docker-proxy %v", c, proxied)
		}
		if spliced := !slices.Contains(c.Without, spliced); spliced != c.Workload.Polls {
			t.Errorf("%s: spliced %v", c, spliced)
		}
		requests := c.Workload.Name == "rr-poll" && (c.Scenario == "c2c" || c.Scenario == "host")
		if least := !slices.Contains(c.Without, leastSplice); least != requests {
			t.Errorf("%s: least-splice %v", c, least)
		}
		ours := c.Scenario == "published" || c.Scenario == "masquerade"
		if least := !slices.Contains(c.Without, leastNAT); least != (ours && c.Family == rivals.IPv4) {
			t.Errorf("%s: least-nat %v", c, least)
		}
		same := c.Scenario == "loopback" || c.Scenario == "hairpin"
		for _, name := range []string{"routing", "redirect", "direct"} {
			if slices.Contains(c.Without, name) != same {
				t.Errorf("%s: %s %v", c, name, !same)
			}
		}
		for _, name := range big() {
			if !slices.Contains(c.Without, name) && c.Workload.Name != "stream-in" && c.Workload.Name != "stream-out" {
				t.Errorf("%s with %s", c, name)
			}
		}
	}
}

// Each goal of a ratio within one cell is measured by the default run, with the limit that it has: else it stays unexplained.
func TestDefaultMeasuresLimits(t *testing.T) {
	takesPart := func(scenario, name string, cpus int, who string) bool {
		return slices.ContainsFunc(plan(t).Cells, func(c run.Cell) bool {
			return string(c.Scenario) == scenario && c.Workload.Name == name && c.Family == rivals.IPv4 && c.CPUs == cpus && !slices.Contains(c.Without, who)
		})
	}
	for _, want := range []struct {
		scenario, workloads string
		cpus                int
		who                 string
	}{
		{"published", "stream-in stream-out rr crr udp limit", 1, "least-nat"},
		{"published", "stream-in rr crr udp stream-in-4", 2, "least-nat"},
		{"published", "stream-in stream-out", 1, "least-nat-bigtcp"},
		{"masquerade", "stream-out crr udp", 1, "least-nat"},
		{"c2c", "stream-in rr crr udp", 1, "redirect"},
		{"c2c", "stream-in", 1, "redirect-bigtcp"},
		{"c2c", "rr-poll", 1, "least-splice"},
		{"host", "rr crr", 1, "redirect"},
		{"host", "rr-poll", 1, "least-splice"},
		{"host", "stream-in", 1, "redirect-bigtcp"},
	} {
		for name := range strings.FieldsSeq(want.workloads) {
			if !takesPart(want.scenario, name, want.cpus, want.who) {
				t.Errorf("%s %s on %d CPUs is measured without %s", want.scenario, name, want.cpus, want.who)
			}
		}
	}
}

// Hairpins come after all that neighbours do: vethway looks at packets between neighbours more closely from then on.
func TestHairpinsComeAfterNeighbours(t *testing.T) {
	for _, args := range [][]string{nil, {"--full"}} {
		met := false
		for _, c := range plan(t, args...).Cells {
			if met = met || c.Scenario == "hairpin"; met && c.Scenario == "c2c" {
				t.Errorf("%v: %s comes after a hairpin", args, c)
			}
		}
	}
}

// Another build takes part wherever vethway does, beside what is named or preset.
func TestOtherBuildTakesPart(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	names := func(args ...string) (all []string) {
		for _, m := range plan(t, args...).Targets {
			all = append(all, m.Name)
		}
		return all
	}
	for _, args := range [][]string{
		{"--scenario", "published", "--target", "vethway"},
		{"--scenario", "published", "--target", "vethway,vethway-other"},
	} {
		want := []string{"vethway", "vethway-other"}
		if got := names(append(args, "--other", self)...); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
	if got, want := names("--other", self), append(names(), "vethway-other"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
