// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/run"
	"github.com/vethway/vethway/cmd/internal/bench/size"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

type runOptions struct {
	quick, full bool
	scenarios   []string
	workloads   []string
	targets     []string
	series      []string
	families    []int
	cpus        []int
	rounds      int
	builds      int
	sample      time.Duration
	warmup      time.Duration
	baseline    string
	format      string
	out         string
	verbose     bool
	size        string
	programs    bool
	iperf       bool
	partial     bool // flags name what is measured: most goals are not
	proxy       string
	other       string
	kept        bool // there is a partial report
}

// defaultRounds is how many samples a target has, and how often it is built for them.
const defaultRounds = 11

func newRunCommand(std *streams.Streams) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Build the targets, send traffic through them in turn and report",
		Args:  cobra.NoArgs,
		Long: `Build the targets, send traffic through them in turn and report.

Without flags a selection of scenarios and workloads is measured that says most of
what there is to say, in about an hour. --scenario, --workload, --family and --cpus measure what they name instead, every combination of it; --series draws the
curves that it names: ports, flows, containers or rules from one to thousands.`,
		Example: `  vethway-bench run --quick
  vethway-bench run --scenario published --workload rr,crr --family 4,6 --cpus 1,2
  vethway-bench run --series ports,flows --target vethway,iptables
  vethway-bench run --out result.json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, std) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.quick, "quick", false, "the essential lines in 5 short rounds: about two minutes")
	flags.BoolVar(&o.full, "full", false, "all workloads, both families, pinned and unpinned: hours")
	flags.StringSliceVar(&o.scenarios, "scenario", nil, "scenarios to measure, with all `list`-marked workloads unless some are named")
	flags.StringSliceVar(&o.workloads, "workload", nil, "workloads to measure, in all `list`-marked scenarios unless some are named")
	flags.StringSliceVar(&o.series, "series", nil, "series to measure: ports, flows, containers, rules, or none")
	flags.BoolVar(&o.programs, "programs", false, "time the BPF programs by themselves")
	flags.BoolVar(&o.iperf, "iperf3", false, "have iperf3 measure single streams to published ports too, as a cross-check (default unless --quick)")
	flags.StringSliceVar(&o.targets, "target", nil, "targets to compare (default those that `list` marks)")
	flags.IntSliceVar(&o.families, "family", []int{4}, "address families: 4, 6")
	flags.IntSliceVar(&o.cpus, "cpus", []int{1}, "CPUs that client and server get together: 1 is the cost of the way, 2 what a user sees")
	flags.IntVar(&o.rounds, "rounds", defaultRounds, "samples of each target, taken in turn")
	flags.IntVar(&o.builds, "builds", defaultRounds, "how often the targets are built, each time for a part of the rounds (1 with --quick, or when flags name what is measured)")
	flags.DurationVar(&o.sample, "sample", 500*time.Millisecond, "length of a sample")
	flags.DurationVar(&o.warmup, "warmup", 100*time.Millisecond, "traffic before each sample that is not counted")
	flags.StringVar(&o.baseline, "baseline", "iptables", "target that the table divides by")
	flags.StringVarP(&o.format, "output", "o", "table", "table, wide or json")
	flags.StringVar(&o.out, "out", "", "also save the JSON to this `file`")
	flags.StringVar(&o.proxy, "docker-proxy", "auto", "Docker's userland proxy: auto (installed, or built by Go into the user's cache), own (an equivalent), or a path")
	flags.StringVar(&o.other, "other", "", "another vethwayd, a `file`: it takes part in the same rounds as target "+target.OtherBuild)
	flags.StringVar(&o.size, "size", "", "the JSON `file` of `vethway-bench size`, for the goals about publishing")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say what is being built")
	cmd.MarkFlagsMutuallyExclusive("quick", "full")
	return cmd
}

func (o *runOptions) run(cmd *cobra.Command, std *streams.Streams) error {
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
	if o.size != "" {
		// Better now than after the run.
		if _, err := size.Load(o.size); err != nil {
			return err
		}
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	if err := plan.Validate(); err != nil {
		return err
	}
	progress := newProgress(std.Err)
	log := slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: level}))
	// The file of this program may have been replaced by a newer one; the process still is what was started.
	generator, err := traffic.Start(cmd.Context(), traffic.Config{
		Command: []string{"/proc/self/exe", trafficCommand}, Stderr: progress,
	})
	if err != nil {
		return err
	}
	defer generator.Close()
	options := target.Options{Proxy: chooseProxy(cmd.Context(), o.proxy, plan.Targets, log), Other: o.other}
	progress.begin(plan.Duration())
	rep, err := run.Run(cmd.Context(), run.Config{
		Plan: plan, Options: options, Generator: generator, Log: log, Progress: progress.show, Checkpoint: func(rep *report.Report) { o.keep(rep, log) },
	})
	progress.end()
	if rep == nil {
		if o.kept {
			log.Warn("the run has not come to its end: what was measured until then is kept", "file", o.keptFile())
		}
		return err
	}
	rep.Machine.Settings.Baseline = o.baseline
	return errors.Join(judge(rep, o.size), o.deliver(rep, std), err)
}

// keptFile is where the report is saved as long as it is not whole.
func (o *runOptions) keptFile() string { return o.out + ".partial" }

// keep saves what there is, since a run takes long and much can end it.
func (o *runOptions) keep(rep *report.Report, log *slog.Logger) {
	if o.out == "" {
		return
	}
	rep.Machine.Settings.Baseline = o.baseline
	if err := rep.Save(o.keptFile()); err != nil {
		log.Warn("what was measured so far is not kept", "why", err)
		return
	}
	o.kept = true
}

// writeGoals writes the table of goals below the report.
func writeGoals(rep *report.Report, out io.Writer) error {
	if _, err := fmt.Fprintln(out); err != nil {
		return fmt.Errorf("print goals: %w", err)
	}
	return rep.WriteGoals(out)
}

func (o *runOptions) deliver(rep *report.Report, std *streams.Streams) error {
	var errs []error
	if o.out != "" {
		err := rep.Save(o.out)
		if err == nil && o.kept {
			err = os.Remove(o.keptFile())
		}
		errs = append(errs, err)
	}
	switch o.format {
	case "json":
		errs = append(errs, rep.Write(std.Out))
	case "wide":
		errs = append(errs, writeTable(std, rep.Wide(o.baseline)))
	default:
		errs = append(errs, rep.WriteText(std.Out, o.baseline))
		if !o.partial {
			errs = append(errs, writeGoals(rep, std.Out))
		}
	}
	return errors.Join(errs...)
}

func (o *runOptions) plan(cmd *cobra.Command) (run.Plan, error) {
	blocks := o.preset(cmd)
	byName := cmd.Flags().Changed("series") && !slices.Equal(o.series, []string{"none"})
	o.partial = named(cmd) || byName || o.programs
	if !cmd.Flags().Changed("builds") {
		o.builds = min(o.builds, max(o.rounds, 1))
		if o.partial || o.quick {
			o.builds = 1
		}
	}
	plan := run.Plan{Rounds: o.rounds, Builds: o.builds, Sample: o.sample, Warmup: o.warmup}
	var err error
	switch {
	case named(cmd):
		plan.Cells, err = o.chosen()
	case !o.partial:
		plan.Cells, err = cells(blocks, runtime.NumCPU())
	}
	if err != nil {
		return run.Plan{}, err
	}
	if plan.Targets, err = o.chooseTargets(cmd); err != nil {
		return run.Plan{}, err
	}
	plan.CrossCheck = o.iperf || !o.partial && !o.quick
	plan.Programs = !o.partial || o.programs
	plan.Series, err = o.planSeries(cmd)
	return plan, err
}

func (o *runOptions) chooseTargets(cmd *cobra.Command) ([]target.Maker, error) {
	byName, named := named(cmd), slices.Contains(o.targets, target.OtherBuild)
	if named && o.other == "" {
		return nil, fmt.Errorf("target %s: --other has to say which vethwayd that is", target.OtherBuild)
	}
	if o.other != "" {
		info, err := os.Stat(o.other)
		if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0) {
			err = fmt.Errorf("%s is no program", o.other)
		}
		if err == nil {
			o.other, err = filepath.Abs(o.other) // a name without a directory would be looked for in PATH
		}
		if err != nil {
			return nil, fmt.Errorf("--other: %w", err)
		}
	}
	chosen, err := target.Choose(o.targets)
	if err != nil {
		return nil, err
	}
	if len(o.targets) == 0 && !byName {
		chosen = presetTargets()
	}
	if o.other == "" || named {
		return chosen, nil
	}
	other, err := target.Choose([]string{target.OtherBuild})
	return append(chosen, other...), err
}
