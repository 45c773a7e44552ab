// SPDX-License-Identifier: Apache-2.0

package run

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/test/rivals"
)

func examplePlan(t *testing.T) Plan {
	t.Helper()
	workloads, err := workload.Choose([]string{"rr", "udp"})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := target.Choose([]string{"direct"})
	if err != nil {
		t.Fatal(err)
	}
	return Plan{
		Scenarios: []target.Scenario{target.Published, target.ContainerToContainer},
		Workloads: workloads, Families: []rivals.Family{rivals.IPv4, rivals.IPv6}, CPUs: []int{1}, Targets: targets,
		Rounds: 5, Sample: 85 * time.Millisecond,
	}
}

func TestCells(t *testing.T) {
	plan := examplePlan(t)
	var got []string
	for _, c := range plan.cells() {
		got = append(got, c.String())
	}
	want := []string{
		"published rr ipv4 on 1 CPU", "published udp ipv4 on 1 CPU", "c2c rr ipv4 on 1 CPU", "c2c udp ipv4 on 1 CPU",
		"published rr ipv6 on 1 CPU", "published udp ipv6 on 1 CPU", "c2c rr ipv6 on 1 CPU", "c2c udp ipv6 on 1 CPU",
	}
	if !slices.Equal(got, want) {
		t.Errorf("cells:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := plan.Duration(), 8*5*100*time.Millisecond; got != want {
		t.Errorf("Duration = %v, want %v", got, want)
	}
}

func TestValidate(t *testing.T) {
	if err := examplePlan(t).validate(); err != nil {
		t.Errorf("a good plan is refused: %v", err)
	}
	for name, tc := range map[string]struct {
		change func(*Plan)
		want   string
	}{
		"no workload": {func(p *Plan) { p.Workloads = nil }, "nothing to measure"},
		"no rounds":   {func(p *Plan) { p.Rounds = 0 }, "0 rounds: at least one is needed"},
		"no time":     {func(p *Plan) { p.Sample = 0 }, "out of range"},
		"no CPU":      {func(p *Plan) { p.CPUs = []int{0} }, "0 CPUs asked for"},
		"many CPUs":   {func(p *Plan) { p.CPUs = []int{1, 4096} }, "4096 CPUs asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := examplePlan(t)
			tc.change(&plan)
			if err := plan.validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("validate = %v, want %q", err, tc.want)
			}
		})
	}
}
