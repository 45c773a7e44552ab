// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/cmd/internal/bench/workload"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
	"github.com/vethway/vethway/test/rivals"
)

type runOptions struct {
	quick, full bool
	scenarios   []string
	workloads   []string
	targets     []string
	families    []int
	cpus        []int
	rounds      int
	sample      time.Duration
	warmup      time.Duration
	baseline    string
	format      string
	out         string
	verbose     bool
	proxy       string
}

func newRunCommand(io *streams.Streams) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Build the targets, send traffic through them in turn and report",
		Args:  cobra.NoArgs,
		Example: `  vethway-bench run --quick
  vethway-bench run --scenario published --workload rr,crr --family 4,6 --cpus 1,2
  vethway-bench run --out result.json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, io) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.quick, "quick", false, "5 short rounds: about two minutes")
	flags.BoolVar(&o.full, "full", false, "both families, pinned and unpinned, samples of a second: more than an hour")
	flags.StringSliceVar(&o.scenarios, "scenario", nil, "scenarios to measure (default those that `list` marks)")
	flags.StringSliceVar(&o.workloads, "workload", nil, "workloads to measure (default those that `list` marks)")
	flags.StringSliceVar(&o.targets, "target", nil, "targets to compare (default those that `list` marks)")
	flags.IntSliceVar(&o.families, "family", []int{4}, "address families: 4, 6")
	flags.IntSliceVar(&o.cpus, "cpus", []int{1}, "CPUs that client and server get together: 1 is the cost of the way, 2 what a user sees")
	flags.IntVar(&o.rounds, "rounds", 11, "samples of each target, taken in turn")
	flags.DurationVar(&o.sample, "sample", 500*time.Millisecond, "length of a sample")
	flags.DurationVar(&o.warmup, "warmup", 100*time.Millisecond, "traffic before each sample that is not counted")
	flags.StringVar(&o.baseline, "baseline", "iptables", "target that the table divides by")
	flags.StringVarP(&o.format, "output", "o", "table", "table, wide or json")
	flags.StringVar(&o.out, "out", "", "also save the JSON to this `file`")
	flags.StringVar(&o.proxy, "docker-proxy", "auto", "Docker's userland proxy: auto (installed, or built by Go into the user's cache), own (an equivalent), or a path")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say what is being built")
	cmd.MarkFlagsMutuallyExclusive("quick", "full")
	return cmd
}

func (o *runOptions) run(cmd *cobra.Command, io *streams.Streams) error {
	plan, err := o.plan(cmd)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"table", "wide", "json"}, o.format) {
		return fmt.Errorf("no output format %q: use table, wide or json", o.format)
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces can only be made by root: try `sudo vethway-bench run`")
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	progress := newProgress(io.Err)
	log := slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: level}))
	// The file of this program may have been replaced by a newer one; the process still is what was started.
	generator, err := traffic.Start(cmd.Context(), traffic.Config{
		Command: []string{"/proc/self/exe", trafficCommand}, Stderr: progress,
	})
	if err != nil {
		return err
	}
	defer generator.Close()
	options := target.Options{Proxy: chooseProxy(cmd.Context(), o.proxy, plan.Targets, log)}
	progress.begin(plan.Duration())
	rep, err := run.Run(cmd.Context(), run.Config{Plan: plan, Options: options, Generator: generator, Log: log, Progress: progress.show})
	progress.end()
	if rep == nil {
		return err
	}
	return errors.Join(o.deliver(rep, io), err)
}

func (o *runOptions) deliver(rep *report.Report, io *streams.Streams) error {
	var errs []error
	if o.out != "" {
		errs = append(errs, rep.Save(o.out))
	}
	switch o.format {
	case "json":
		errs = append(errs, rep.Write(io.Out))
	case "wide":
		errs = append(errs, writeTable(io, rep.Wide(o.baseline)))
	default:
		errs = append(errs, rep.WriteText(io.Out, o.baseline))
	}
	return errors.Join(errs...)
}

func (o *runOptions) plan(cmd *cobra.Command) (run.Plan, error) {
	o.preset(cmd)
	plan := run.Plan{CPUs: o.cpus, Rounds: o.rounds, Sample: o.sample, Warmup: o.warmup}
	var err error
	if plan.Scenarios, err = chooseScenarios(o.scenarios); err != nil {
		return run.Plan{}, err
	}
	if plan.Workloads, err = workload.Choose(o.workloads); err != nil {
		return run.Plan{}, err
	}
	if plan.Targets, err = target.Choose(o.targets); err != nil {
		return run.Plan{}, err
	}
	for _, family := range o.families {
		if family != 4 && family != 6 {
			return run.Plan{}, fmt.Errorf("no address family %d: use 4 or 6", family)
		}
		plan.Families = append(plan.Families, rivals.Family(family))
	}
	return plan, nil
}

// preset fills in what --quick and --full stand for; a flag given by hand wins.
func (o *runOptions) preset(cmd *cobra.Command) {
	set := func(flag string, apply func()) {
		if !cmd.Flags().Changed(flag) {
			apply()
		}
	}
	if o.quick {
		set("rounds", func() { o.rounds = 5 })
		set("sample", func() { o.sample = 300 * time.Millisecond })
		set("warmup", func() { o.warmup = 60 * time.Millisecond })
	}
	if o.full {
		set("family", func() { o.families = []int{4, 6} })
		set("cpus", func() { o.cpus = []int{1, 2} })
		set("sample", func() { o.sample = time.Second })
	}
}

func chooseScenarios(names []string) ([]target.Scenario, error) {
	if len(names) == 0 {
		return target.DefaultScenarios(), nil
	}
	var chosen, known []target.Scenario
	known = target.Scenarios()
	for _, s := range known {
		if slices.Contains(names, string(s)) {
			chosen = append(chosen, s)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, target.Scenario(name)) {
			var all []string
			for _, s := range known {
				all = append(all, string(s))
			}
			return nil, fmt.Errorf("no scenario %q: use %s", name, strings.Join(all, ", "))
		}
	}
	return chosen, nil
}
