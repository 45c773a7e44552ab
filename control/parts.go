// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"maps"
)

// pass lets everybody go first who waits for the turn.
func (e *Engine) pass() {
	e.release()
	e.turn <- struct{}{} // whoever waits longer comes first
}

// reconcileParts is a transition from nothing, too, but in parts between which requests have their turn. The first part is of networks, the
// others are of a container each, which takes a millisecond or so: who sends one request after the other meets every part. Each begins
// with the state as it has become. What a request attached meanwhile it has looked at itself.
func (t *transition) reconcileParts(ctx context.Context) error {
	t.to = t.e.state.Load()
	t.from = &state{containers: t.to.containers}
	if err := t.steps(ctx, t.ensureDetour, t.ensureBridges, t.ensureCutter, t.sync); err != nil {
		return err
	}
	for _, c := range t.to.sortedContainers() {
		t.e.pass()
		if err := t.reconcilePart(ctx, c.ID); err != nil {
			return err
		}
	}
	t.e.pass()
	return nil
}

func (t *transition) reconcilePart(ctx context.Context, id string) error {
	t.to = t.e.state.Load()
	c := t.to.containers[id]
	if c == nil {
		return nil
	}
	from := *t.to
	from.containers = maps.Clone(from.containers)
	delete(from.containers, id)
	t.from = &from
	t.gone, t.ensured, t.news = t.e.vanished(ctx, []*container{c}), nil, false
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
