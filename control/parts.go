// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"slices"
)

// partSize is how many containers a reconcile looks at before it passes its turn: each takes a millisecond or so.
const partSize = 4

// pass lets everybody go first who waits for the turn.
func (e *Engine) pass() {
	e.release()
	e.turn <- struct{}{} // whoever waits longer comes first
}

// reconcileParts is a transition from nothing, too, but in parts between which requests have their turn. The first part is of networks, the
// others are of a few containers each; every one begins with the state as it has become. What a request attached meanwhile it has
// looked at itself.
func (t *transition) reconcileParts(ctx context.Context) error {
	t.to = t.e.state.Load()
	t.from = &state{containers: t.to.containers}
	if err := t.steps(ctx, t.ensureDetour, t.ensureBridges, t.ensureCutter, t.sync); err != nil {
		return err
	}
	for some := range slices.Chunk(t.to.sortedContainers(), partSize) {
		t.e.pass()
		if err := t.reconcilePart(ctx, some); err != nil {
			return err
		}
	}
	t.e.pass()
	return nil
}

func (t *transition) reconcilePart(ctx context.Context, some []*container) error {
	t.to = t.e.state.Load()
	t.from = t.to.clone()
	there := some[:0]
	for _, c := range some {
		if now := t.to.containers[c.ID]; now != nil {
			there = append(there, now)
			delete(t.from.containers, c.ID)
		}
	}
	t.gone, t.ensured, t.news = t.e.vanished(ctx, there), nil, false
	err := t.steps(ctx, t.ensureEndpoints, t.recordInterfaces, t.syncNews, t.activate, t.setRoutes)
	if len(t.gone) > 0 {
		t.e.letGo(ctx, t.gone)
	}
	return err
}

// syncNews does without, if the programs know everything already. What failed once is not tried again for every part.
func (t *transition) syncNews(ctx context.Context) error {
	if !t.synced || !t.news {
		return nil
	}
	return t.sync(ctx)
}
