// SPDX-License-Identifier: Apache-2.0

package size

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

func sample() *Report {
	return &Report{
		Machine: report.Machine{Kernel: "6.18", CPU: "Test CPU", Cores: 2, Time: "now", Settings: report.Settings{Rounds: 3}},
		Results: []Result{
			{Name: "attach", What: "attach 100 containers, one request each", Unit: "s", Median: 12, Min: 3, Max: 13, Budget: 10},
			{Name: "publish", What: "publish 10,000 ports by one request of the API", Unit: "ms", Median: 187, Min: 170.4, Max: 201},
		},
	}
}

func TestUpdate(t *testing.T) {
	const table = "| | median | of rounds | budget |\n|---|---:|---:|---:|\n" +
		"| attach 100 containers, one request each | 12.0 s | 3.00 to 13.0 | 10 s |\n" +
		"| publish 10,000 ports by one request of the API | 187 ms | 170 to 201 | - |\n" +
		"\nMedians of 3 rounds. Linux 6.18, Test CPU, 2 cores, now.\n"
	for name, tc := range map[string]struct{ text, want string }{
		"replaced":   {"a\n" + Begin + "\nold\n" + End + "\nb\n", "a\n" + Begin + "\n" + table + End + "\nb\n"},
		"no markers": {"a\nb\n", "a\nb\n"},
		"no end":     {"a\n" + Begin + "\nb\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sample().Update(tc.text)
			if (err != nil) != (tc.want == "") || got != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestWriteTextSaysWhatIsOverBudget(t *testing.T) {
	var out bytes.Buffer
	if err := sample().WriteText(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if !strings.HasSuffix(lines[1], "10, exceeded") || strings.Contains(lines[2], "exceeded") {
		t.Errorf("\n%s", out.String())
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseResident("Name:\tvethwayd\nVmHWM:\t   30000 kB\nVmRSS:\t   21504 kB\n")
	if err != nil || got != 21504*1024 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS:\tmuch\n"} {
		if _, err := parseResident(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{7: "7", 1000: "1,000", 65000: "65,000", 1002003: "1,002,003"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Containers: 1, Ports: 1, Rounds: 1}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no container": func(c *Config) { c.Containers = 0 }, "too many": func(c *Config) { c.Containers = 1001 },
		"no port": func(c *Config) { c.Ports = 0 }, "more ports than there are": func(c *Config) { c.More = []int{65536} },
		"a crowd of fewer": func(c *Config) { c.Containers, c.Crowd = 5, 4 }, "too great a crowd": func(c *Config) { c.Crowd = 1001 },
		"no round": func(c *Config) { c.Rounds = 0 },
	} {
		c := good
		change(&c)
		if c.check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// The table of goals wants what the API took, by the number of ports, and what memory is taken.
func TestJudged(t *testing.T) {
	r := &Report{Results: []Result{
		{Name: "attach", Unit: "s", Median: 1},
		{Name: "publish", Unit: "ms", Median: 20, Min: 19, Max: 21, Count: 10000, Samples: []float64{19, 20, 21}},
		{Name: "publish-cli", Unit: "ms", Median: 25, Count: 10000},
		{Name: "attach-last", Unit: "ms", Median: 40, Count: 470},
		{Name: "memory-flows", Unit: "MiB", Median: 24, Count: 100000},
		{Name: "memory-port", Unit: "bytes", Median: 500, Count: 65000},
		{Name: "kernel-batch", Unit: "ms", Median: 15, Count: 10000},
		{Name: "kernel-batch-least", Unit: "ms", Median: 4, Count: 10000},
		{Name: "memory-flows-least-ipv4", Unit: "MiB", Median: 18, Count: 100000},
		{Name: "memory-flows-least-ipv6", Unit: "MiB", Median: 27, Count: 100000},
	}}
	got := r.Judged()
	if len(got) != 7 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []struct {
		scenario, axis string
		x              int
		median         float64
		target         string
	}{
		{"publish", "ports", 10000, 20, "vethway"}, {"create", "containers", 470, 40, "vethway"},
		{"memory", "flows", 100000, 24, "vethway"}, {"memory", "ports", 65000, 500, "vethway"},
		{"publish", "ports", 10000, 4, "kernel"}, {"memory", "flows", 100000, 18, "least-ipv4"}, {"memory", "flows", 100000, 27, "least-ipv6"},
	} {
		r := got[i]
		if r.Target != want.target {
			t.Errorf("result %d is of %s, want %s", i, r.Target, want.target)
		}
		if r.Scenario != want.scenario || r.Workload != want.scenario || r.Axis != want.axis || r.X != want.x || r.Median != want.median || !r.LowerIsBetter {
			t.Errorf("%+v, want %+v", r, want)
		}
	}
	if len(got[0].Samples) != 3 {
		t.Errorf("%d samples", len(got[0].Samples))
	}
}

func TestParseMap(t *testing.T) {
	const flags = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\n"
	id, bytes, ok := parseMap(flags + "map_type:\t1\nkey_size:\t40\nmemlock:\t4718592\nmap_id:\t77\nfrozen:\t0\n")
	if id != "77" || bytes != 4718592 || !ok {
		t.Errorf("%s, %v, %v", id, bytes, ok)
	}
	for name, text := range map[string]string{
		"a file": flags, "a program": flags + "prog_type:\t3\nmemlock:\t4096\nprog_id:\t5\n", "nonsense": flags + "memlock:\tmuch\nmap_id:\t7\n",
	} {
		if id, bytes, ok := parseMap(text); ok {
			t.Errorf("%s is map %s of %v bytes", name, id, bytes)
		}
	}
}
