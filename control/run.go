// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// maxDebounce bounds how long changes that never pause can put a reconcile off.
const maxDebounce = time.Second

// A reconcile looks at every container, which takes milliseconds each. The rest after it, so many times as long as it took, keeps
// a host that never stands still from having it run all the time.
const (
	restFactor = 5
	maxRest    = 10 * time.Second
)

// A container that is refused flows all the time has them collected more often than at intervals, but never more often
// than this. Neither that nor the intervals may take a greater part of the time: a million entries take a second to look at.
const (
	minCollectRest    = time.Second
	collectRestFactor = 10
)

// Run reconciles at once, and then whenever the host changed, at intervals, and when something was left over; and it has
// idle flows collected. It returns when ctx ends, and everything it started has ended.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Watching comes first: what changes during the first reconcile is seen as well.
	changes, err := e.cfg.Links.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch the host's network: %w", err)
	}
	var loops sync.WaitGroup
	loops.Go(func() { e.reconcileLoop(ctx, changes) })
	loops.Go(func() { e.collectLoop(ctx) })
	loops.Go(func() { e.eventLoop(ctx) })
	loops.Wait()
	// The watcher may still be about to send: it never blocks, and closes the channel when it ends.
	return nil
}

func (e *Engine) reconcileLoop(ctx context.Context, changes <-chan struct{}) {
	for {
		began := time.Now()
		interval := e.cfg.ReconcileInterval
		if err := e.Reconcile(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Debug("reconcile failed", "error", err)
			interval = min(interval, time.Second) // a failure is worth trying again sooner
		}
		took := time.Since(began)
		e.cfg.Log.Debug("reconciled", "took", took)
		rested := time.Now().Add(min(restFactor*took, maxRest))
		if !e.await(ctx, changes, interval, rested) {
			return
		}
	}
}

// await waits until there is a reason to reconcile, and the rest is over; false means that ctx ended. Meanwhile the packet
// programs hear of changes of the host all the same.
func (e *Engine) await(ctx context.Context, changes <-chan struct{}, interval time.Duration, rested time.Time) bool {
	for e.awaitCause(ctx, changes, interval) {
		interval = time.Until(rested)
		if interval <= 0 {
			return true
		}
		if err := e.refresh(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Debug("refresh", "error", err)
		}
	}
	return false
}

// awaitCause waits until there is a reason to reconcile; false means that ctx ended.
func (e *Engine) awaitCause(ctx context.Context, changes <-chan struct{}, interval time.Duration) bool {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-e.wake:
		return sleep(ctx, e.cfg.Debounce)
	case _, ok := <-changes:
		if !ok {
			<-ctx.Done() // the channel is closed when ctx ends, and not before
			return false
		}
	}
	// Changes come in bursts: an interface that appears brings its addresses and routes.
	limit := time.NewTimer(maxDebounce)
	defer limit.Stop()
	for {
		quiet := time.NewTimer(e.cfg.Debounce)
		select {
		case <-ctx.Done():
			quiet.Stop()
			return false
		case <-limit.C:
			quiet.Stop()
			return true
		case <-quiet.C:
			return true
		case <-changes:
			quiet.Stop()
		}
	}
}

// collectLoop has flows collected at intervals, and sooner when a container was refused one: there may be some to make room.
func (e *Engine) collectLoop(ctx context.Context) {
	ticker := time.NewTicker(e.cfg.CollectInterval)
	defer ticker.Stop()
	failing := false
	var rested time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if time.Now().Before(rested) {
				continue
			}
		case <-e.events.refused:
			if !sleep(ctx, time.Until(rested)) {
				return
			}
		}
		began := time.Now()
		_, err := e.cfg.Dataplane.Collect(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			e.cfg.Log.Warn("idle flows are not collected", "error", err)
		}
		failing = err != nil
		rested = began.Add(max(minCollectRest, collectRestFactor*time.Since(began)))
	}
}

// sleep waits; false means that ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
