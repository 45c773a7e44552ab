// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/goal"
	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/size"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// errMissed is the exit of `goals --strict`.
var errMissed = errors.New("goals are missed")

type goalsOptions struct {
	in, size string
	strict   bool
}

func newGoalsCommand(io *streams.Streams) *cobra.Command {
	var o goalsOptions
	cmd := &cobra.Command{
		Use:   "goals",
		Short: "Hold a saved run against what the project wants",
		Long: `Hold a saved run against what the project wants: our figure, the rival's, the goal,
and whether it is met. ` + "`vethway-bench run`" + ` prints the same at its end.`,
		Example: `  vethway-bench goals --in result.json
  vethway-bench goals --in result.json --size size.json --strict`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return o.run(io) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.in, "in", "", "the JSON `file` of a run")
	flags.StringVar(&o.size, "size", "", "the JSON `file` of `vethway-bench size`, for what publishing takes")
	flags.BoolVar(&o.strict, "strict", false, "fail when a goal is missed")
	if err := cmd.MarkFlagRequired("in"); err != nil {
		panic(err) // the flag is two lines up
	}
	return cmd
}

func (o *goalsOptions) run(io *streams.Streams) error {
	rep, err := report.Load(o.in)
	if err != nil {
		return err
	}
	if err := judge(rep, o.size); err != nil {
		return err
	}
	if io.Terminal {
		err = rep.WriteGoals(io.Out)
	} else {
		err = rep.GoalTable().WriteTSV(io.Out)
	}
	if err != nil {
		return err
	}
	missed := 0
	for _, g := range rep.Goals {
		if g.State == report.Missed {
			missed++
		}
	}
	if o.strict && missed > 0 {
		return fmt.Errorf("%w: %d of %d", errMissed, missed, len(rep.Goals))
	}
	return nil
}

// sameCell says whether two results measure the same: a run that was given the file of sizes has saved them too.
func sameCell(a, b report.Result) bool {
	return a.Scenario == b.Scenario && a.Target == b.Target && a.Axis == b.Axis && a.X == b.X && a.Workload == b.Workload
}

// judge fills in the report's goals, with what another file says of publishing.
func judge(rep *report.Report, sizeFile string) error {
	if sizeFile != "" {
		sizes, err := size.Load(sizeFile)
		if err != nil {
			return err
		}
		for _, r := range sizes.Judged() {
			if !slices.ContainsFunc(rep.Results, func(have report.Result) bool { return sameCell(have, r) }) {
				rep.Results = append(rep.Results, r)
			}
		}
	}
	rep.Goals = goal.Judge(rep)
	return nil
}
