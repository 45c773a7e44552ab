// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/test/rivals"
)

// block is a part of a preset: one scenario and some workloads. A preset is a list of blocks, since the whole cross product
// takes hours and most of it says the same.
type block struct {
	scenario  target.Scenario
	workloads string
	family    rivals.Family
	cpus      int
}

// essential is what --quick measures: every line of the table of targets that does not need long runs.
func essential() []block {
	return []block{
		{target.Published, "stream-in stream-out rr crr udp limit", rivals.IPv4, 1},
		{target.Masquerade, "stream-out crr udp", rivals.IPv4, 1},
		{target.ContainerToContainer, "stream-in rr crr udp stream-in-poll rr-poll", rivals.IPv4, 1},
		{target.Host, "stream-in rr crr", rivals.IPv4, 1},
		{target.Published, "stream-in rr crr udp stream-in-4", rivals.IPv4, 2},
	}
}

// usual is what is measured without --quick and --full.
func usual() []block {
	return []block{
		{target.Published, "stream-in stream-out rr crr udp udp-new limit", rivals.IPv4, 1},
		{target.Masquerade, "stream-in stream-out rr crr udp udp-new", rivals.IPv4, 1},
		{target.ContainerToContainer, "stream-in rr crr udp udp-new stream-in-poll rr-poll", rivals.IPv4, 1},
		{target.Host, "stream-in rr crr rr-poll", rivals.IPv4, 1},
		{target.Loopback, "stream-in rr crr", rivals.IPv4, 1},
		{target.Hairpin, "stream-in rr crr udp", rivals.IPv4, 1},
		{target.Published, "stream-in rr crr udp limit", rivals.IPv6, 1},
		{target.Published, "stream-in stream-out rr crr udp stream-in-4", rivals.IPv4, 2},
	}
}

// everything is what --full measures: all scenarios but the odd ones, with all workloads, both families, pinned and not.
func everything() []block {
	var names []string
	for _, w := range workload.All() {
		names = append(names, w.Name)
	}
	var blocks []block
	add := func(scenarios ...target.Scenario) {
		for _, cpus := range []int{1, 2} {
			for _, family := range []rivals.Family{rivals.IPv4, rivals.IPv6} {
				for _, s := range scenarios {
					blocks = append(blocks, block{s, strings.Join(names, " "), family, cpus})
				}
			}
		}
	}
	add(target.Published, target.Masquerade, target.ContainerToContainer, target.Host, target.Loopback)
	// Once a container has reached another by a published port, packets between neighbours are looked at more closely.
	add(target.Hairpin)
	return blocks
}

// cells turns blocks into what a plan wants; CPUs that the machine does not have are left out.
func cells(blocks []block, cpus int) ([]run.Cell, error) {
	var list []run.Cell
	for _, b := range blocks {
		if b.cpus > cpus {
			continue
		}
		workloads, err := workload.Choose(strings.Fields(b.workloads))
		if err != nil {
			return nil, err
		}
		for _, c := range run.Cross([]target.Scenario{b.scenario}, workloads, []rivals.Family{b.family}, []int{b.cpus}) {
			c.Without = without(c)
			list = append(list, c)
		}
	}
	return list, nil
}

// Targets that take part in few cells of presets. docker-proxy is measured where Docker's users meet it: on the way from the
// host itself and back to it. BIG TCP makes no difference but to streams, and splicing none but to sockets that do not block.
const (
	dockerProxy = "docker-proxy"
	spliced     = "vethway-spliced"
	redirectBig = "redirect-bigtcp"
	leastNAT    = "least-nat"
	leastNATBig = "least-nat-bigtcp"
	leastSplice = "least-splice"
)

func big() []string {
	return []string{"vethway-bigtcp", "iptables-bigtcp", redirectBig, leastNATBig, "direct-bigtcp"}
}

func without(c run.Cell) []string {
	var absent []string
	// Between containers nothing is translated. By IPv6 there is no goal of ratios that it could be the limit of.
	translated := c.Scenario == target.Published || c.Scenario == target.Masquerade
	if !translated || c.Family != rivals.IPv4 {
		absent = append(absent, leastNAT)
	}
	// Who does not translate, reaches a container by its own address, from everywhere: as from the host, and as from a neighbour.
	if c.Scenario == target.Loopback || c.Scenario == target.Hairpin {
		absent = append(absent, "routing", "redirect", "direct")
	}
	if !c.Scenario.Local() && c.Scenario != target.Hairpin || c.Workload.Polls {
		absent = append(absent, dockerProxy)
	}
	if !c.Workload.Polls {
		absent = append(absent, spliced)
	}
	// It is a limit of requests. Of a stream it would hold hundreds of megabytes in the reader's queue, and be slower than what it is to limit.
	streams, _ := c.Workload.Streams()
	if !c.Workload.Polls || streams > 0 || c.Scenario != target.ContainerToContainer && c.Scenario != target.Host {
		absent = append(absent, leastSplice)
	}
	return append(absent, withoutBig(c)...)
}

// withoutBig is which targets with BIG TCP have no part. What the host sends to containers is as large by itself: there the limit alone has.
func withoutBig(c run.Cell) []string {
	streams, _ := c.Workload.Streams()
	one := streams == 1 && c.Family == rivals.IPv4 && c.CPUs == 1 && !c.Workload.Polls
	absent := func(names ...string) []string {
		return slices.DeleteFunc(big(), func(name string) bool { return slices.Contains(names, name) })
	}
	switch {
	case one && c.Scenario == target.Published:
		return nil
	case one && c.Scenario == target.ContainerToContainer:
		return []string{leastNATBig}
	case one && c.Scenario == target.Host:
		return absent(redirectBig)
	}
	return big()
}

// presetTargets are those that are not extra, and these.
func presetTargets() []target.Maker {
	some := append(big(), dockerProxy, spliced, leastSplice)
	return slices.DeleteFunc(target.All(), func(m target.Maker) bool { return m.Extra && !slices.Contains(some, m.Name) })
}

// preset fills in what --quick and --full stand for; a flag given by hand wins.
func (o *runOptions) preset(cmd *cobra.Command) []block {
	set := func(flag string, apply func()) {
		if !cmd.Flags().Changed(flag) {
			apply()
		}
	}
	switch {
	case o.quick:
		set("rounds", func() { o.rounds = 5 })
		set("sample", func() { o.sample = 80 * time.Millisecond })
		set("warmup", func() { o.warmup = 25 * time.Millisecond })
		return essential()
	case o.full:
		set("sample", func() { o.sample = 300 * time.Millisecond })
		return everything()
	}
	return usual()
}

// named says whether the cells are those of flags instead of a preset.
func named(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{"scenario", "workload", "family", "cpus"}, cmd.Flags().Changed)
}

// chosen are the cells that flags name.
func (o *runOptions) chosen() ([]run.Cell, error) {
	scenarios, err := chooseScenarios(o.scenarios)
	if err != nil {
		return nil, err
	}
	workloads, err := workload.Choose(o.workloads)
	if err != nil {
		return nil, err
	}
	var families []rivals.Family
	for _, family := range o.families {
		if family != 4 && family != 6 {
			return nil, fmt.Errorf("no address family %d: use 4 or 6", family)
		}
		families = append(families, rivals.Family(family))
	}
	return run.Cross(scenarios, workloads, families, o.cpus), nil
}

func chooseScenarios(names []string) ([]target.Scenario, error) {
	if len(names) == 0 {
		return target.DefaultScenarios(), nil
	}
	known := target.Scenarios()
	for _, name := range names {
		if !slices.Contains(known, target.Scenario(name)) {
			var all []string
			for _, s := range known {
				all = append(all, string(s))
			}
			return nil, fmt.Errorf("no scenario %q: use %s", name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(known, func(s target.Scenario) bool { return !slices.Contains(names, string(s)) }), nil
}
