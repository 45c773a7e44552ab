// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
)

// witness has the targets read their counters before the traffic of a cell.
func witness(ctx context.Context, turns []*turn) (err error) {
	for _, t := range turns {
		if t.rig != nil {
			// Generated flows are the same every time, and rules that translate count flows: let them begin anew.
			if err := t.site.Forget(ctx); err != nil {
				return fmt.Errorf("count before the traffic: %w", err)
			}
		}
		if t.before, err = t.site.Counters(ctx); err != nil {
			return fmt.Errorf("count before the traffic: %w", err)
		}
	}
	return nil
}

// prove compares with what the counters are after it. A figure that came about in another way than its target stands for
// is worse than none.
func (r *runner) prove(ctx context.Context, c Cell, turns []*turn) error {
	var errs []error
	for _, t := range turns {
		if !t.worked() {
			continue
		}
		after, err := t.site.Counters(ctx)
		if err == nil {
			t.result.Proof, err = t.site.Prove(c.Scenario, c.Family, t.before, after)
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Error("no proof of the way", "cell", c.String(), "target", t.result.Target, "error", err)
			errs = append(errs, fmt.Errorf("%s: %w", c, err))
		}
	}
	return errors.Join(errs...)
}

// worked tells whether any sample of the turn is good.
func (t *turn) worked() bool {
	for _, s := range t.result.Samples {
		if s.Error == "" {
			return true
		}
	}
	return false
}
