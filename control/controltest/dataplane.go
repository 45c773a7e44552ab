// SPDX-License-Identifier: Apache-2.0

package controltest

import (
	"context"
	"slices"
	"sync"

	"github.com/vethway/vethway/control"
)

// Dataplane remembers what it was told last.
type Dataplane struct {
	*Faults
	mu     sync.Mutex
	state  control.DataplaneState
	syncs  int
	flows  []control.Flow
	stats  control.FlowStats
	drops  []control.DropCount
	events chan control.Event
	// Collected counts calls of Collect.
	collected int
}

var _ control.Dataplane = (*Dataplane)(nil)

// NewDataplane makes a Dataplane that guards the endpoints of links.
func NewDataplane(faults *Faults, links *Links) *Dataplane {
	d := &Dataplane{Faults: faults, events: make(chan control.Event)}
	links.attached = d.attached
	return d
}

func (d *Dataplane) attached(index int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.state.Endpoints, func(e control.DataplaneEndpoint) bool { return e.HostIndex == index })
}

// Sync implements control.Dataplane.
func (d *Dataplane) Sync(ctx context.Context, want *control.DataplaneState) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.run("Sync", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.state = *want
		d.syncs++
		return nil
	})
}

// State is what Sync was told last.
func (d *Dataplane) State() control.DataplaneState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// Syncs is how often Sync succeeded.
func (d *Dataplane) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// SetFlows and SetDrops are what is to be listed.
func (d *Dataplane) SetFlows(flows ...control.Flow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flows = flows
}

// SetDrops likewise.
func (d *Dataplane) SetDrops(drops ...control.DropCount) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drops = drops
}

// Collected is how often Collect was called.
func (d *Dataplane) Collected() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.collected
}

// Collect implements control.Dataplane.
func (d *Dataplane) Collect(context.Context) (int, error) {
	return 0, d.run("Collect", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.collected++
		return nil
	})
}

// Flush implements control.Dataplane.
func (d *Dataplane) Flush(_ context.Context, match func(control.Flow) bool) (n int, err error) {
	err = d.run("Flush", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		before := len(d.flows)
		d.flows = slices.DeleteFunc(slices.Clone(d.flows), match)
		n = before - len(d.flows)
		return nil
	})
	return n, err
}

// Flows implements control.Dataplane.
func (d *Dataplane) Flows(_ context.Context, yield func(control.Flow) bool) error {
	return d.run("Flows", func() error {
		d.mu.Lock()
		flows := slices.Clone(d.flows)
		d.mu.Unlock()
		for _, f := range flows {
			if !yield(f) {
				break
			}
		}
		return nil
	})
}

// SetFlowStats is what is to be told.
func (d *Dataplane) SetFlowStats(s control.FlowStats) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats = s
}

// FlowStats implements control.Dataplane.
func (d *Dataplane) FlowStats(context.Context) (s control.FlowStats, err error) {
	err = d.run("FlowStats", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		s = d.stats
		return nil
	})
	return s, err
}

// Report has Events yield an event. It waits for Events to run.
func (d *Dataplane) Report(e control.Event) { d.events <- e }

// Events implements control.Dataplane.
func (d *Dataplane) Events(ctx context.Context, yield func(control.Event)) error {
	for {
		if err := d.run("Events", func() error { return nil }); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case e := <-d.events:
			yield(e)
		}
	}
}

// Drops implements control.Dataplane.
func (d *Dataplane) Drops(context.Context) (drops []control.DropCount, err error) {
	err = d.run("Drops", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		drops = slices.Clone(d.drops)
		return nil
	})
	return drops, err
}
