// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"

	"github.com/vethway/vethway/test/rivals"
)

// witness has the targets read their counters before the traffic of a cell. Who cannot has no proof in the end.
func witness(ctx context.Context, turns []*turn) {
	for _, t := range turns {
		if t.rig != nil {
			// Generated flows are the same every time, and rules that translate count flows: let them begin anew.
			t.unfit = t.site.Forget(ctx)
		}
		if t.unfit == nil {
			t.before, t.unfit = t.site.Counters(ctx)
		}
		if t.unfit != nil {
			t.unfit = fmt.Errorf("count before the traffic: %w", t.unfit)
		}
	}
}

// prove compares with what the counters are after it. A figure that came about in another way than its target stands for
// is worse than none, so none of its samples counts.
func (r *runner) prove(ctx context.Context, c Cell, turns []*turn) {
	for _, t := range turns {
		if !t.worked() {
			continue
		}
		after, err := t.counters(ctx)
		if err == nil {
			t.result.Proof, err = t.site.Prove(c.Scenario, c.Family, t.before, after)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		r.Log.Error("no proof of the way", "cell", c.String(), "target", t.result.Target, "error", err)
		for i := range t.result.Samples {
			t.result.Samples[i].Error = fmt.Sprintf("no proof of the way: %v", err)
		}
	}
}

// counters are those after the traffic.
func (t *turn) counters(ctx context.Context) (rivals.Counters, error) {
	if t.datagrams {
		return t.after, nil
	}
	return t.site.Counters(ctx)
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
