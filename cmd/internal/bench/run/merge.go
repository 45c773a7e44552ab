// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"slices"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

// merger puts together what several builds of the targets have measured.
type merger struct {
	cells    [][]report.Result // by place in the plan
	programs []report.Result
	done     int // rounds of the builds before
}

// add gives a cell the rounds of one more build. A target that one of the builds did not have keeps its rounds free: those of two targets stay
// side by side.
func (m *merger) add(cell int, results []report.Result) {
	all, longest := m.cells[cell], 0
	for _, more := range results {
		i := slices.IndexFunc(all, func(r report.Result) bool { return r.Target == more.Target })
		if i < 0 {
			i = len(all)
			all = append(all, more)
			all[i].Samples = nil
		}
		all[i].Samples = append(pad(all[i].Samples, m.done), more.Samples...)
		all[i].Proof = more.Proof
		longest = max(longest, len(all[i].Samples))
	}
	for i := range all {
		all[i].Samples = pad(all[i].Samples, longest)
	}
	report.Summarize(all)
	m.cells[cell] = all
}

func pad(samples []report.Sample, n int) []report.Sample {
	for len(samples) < n {
		samples = append(samples, report.Sample{Error: "the target was not built, or had no part in it"})
	}
	return samples
}

func (m *merger) results() []report.Result { return slices.Concat(m.cells...) }

// failures are those of targets that had not one good sample in a cell.
func (m *merger) failures() error {
	var errs []error
	for _, results := range m.cells {
		errs = append(errs, report.Failures(results))
	}
	return errors.Join(errs...)
}
