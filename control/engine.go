// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/ipam"
	"github.com/vethway/vethway/control/ports"
)

// undoTimeout bounds how long a failed request may take to put things back after its own context ended.
const undoTimeout = 30 * time.Second

// Engine holds the desired state and makes the host agree with it. Its methods may be called concurrently: requests
// that change something wait for each other, those that only read do not wait.
type Engine struct {
	cfg     Config
	started time.Time

	// state is the desired state. Reading it needs no lock.
	state atomic.Pointer[state]
	// report is what the last reconcile found.
	report atomic.Pointer[report]
	// learned counts how often the host's facts became known anew, and learnedPorts how often its ports did.
	learned, learnedPorts atomic.Uint64

	// turn is held, by having sent on it, by whoever changes anything. What follows belongs to the holder.
	turn  chan struct{}
	saved *state // what the store holds; differs from state only while the store fails
	// doubtful tells that a commit failed: it may have come through all the same.
	doubtful bool
	pools    map[string]*pools
	ports    *ports.Table
	// kernel is what we know of the links that we made.
	kernel kernel
	// served is what the packet programs are told of each container's ports, by its ID.
	served map[string]servedPorts
	// adopted tells that the host was compared with the whole state once. Before, we know no link's index, and a
	// Sync would take the programs off what works.
	adopted bool
	// wake asks the loop for a reconcile.
	wake   chan struct{}
	events events
}

var _ api.Backend = (*Engine)(nil)

// kernel is what the kernel told of our links, and of the rest of the host.
type kernel struct {
	bridges map[string]BridgeInfo   // by network ID
	ends    map[string]EndpointInfo // by endpoint ID
	facts   HostFacts
	detour  DetourInfo
	cutter  CutterInfo
}

// pools are a network's addresses.
type pools struct{ ipv4, ipv6 *ipam.Pool }

// New loads the desired state from the store. The host is not touched before Run, Reconcile or the first request. It
// fails with ErrCorrupt when the store's contents make no sense.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s, err := loadState(ctx, cfg.Store)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, started: time.Now(),
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), saved: s,
		served: map[string]servedPorts{},
		events: events{refused: make(chan struct{}, 1)},
		kernel: kernel{bridges: map[string]BridgeInfo{}, ends: map[string]EndpointInfo{}},
	}
	e.state.Store(s)
	e.report.Store(&report{})
	if err := e.rebuild(); err != nil {
		return nil, api.Errorf(api.Corrupt, "load the state: %w", err)
	}
	return e, nil
}

// acquire waits for the turn, and sees to it that the host was adopted before anything is changed.
func (e *Engine) acquire(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	// A select picks at random when both are ready.
	if err := ctx.Err(); err != nil {
		e.release()
		return err
	}
	if e.adopted {
		return nil
	}
	if err := e.reconcile(ctx, e.survey(ctx)); !e.adopted {
		e.release()
		return api.Errorf(api.Unavailable, "the host's links could not be read yet: %w", err)
	}
	return nil
}

func (e *Engine) release() { <-e.turn }

// rebuild makes the books of addresses and ports anew from the state.
func (e *Engine) rebuild() error {
	s := e.state.Load()
	books := make(map[string]*pools, len(s.networks))
	for id, n := range s.networks {
		p, err := newPools(n)
		if err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		books[id] = p
	}
	table := ports.NewTable(s.settings.LastPorts)
	for _, c := range s.containers {
		for _, ep := range c.Endpoints {
			if err := books[ep.Network].claim(c.Name, ep); err != nil {
				return fmt.Errorf("container %s: %w", c.Name, err)
			}
		}
		if err := table.Enter(c.Name, c.bindings()); err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
	}
	for id, l := range s.leases {
		if p := books[id]; p != nil {
			p.restore(l)
		}
	}
	e.pools, e.ports = books, table
	return nil
}

// request runs one request from plan to kernel. The plan makes the next state of the present one; it is committed to
// the store, and then the kernel is led there. If any step fails, store, books and kernel go back to where they were.
func (e *Engine) request(ctx context.Context, what string, plan func(next *state) error) error {
	if err := e.acquire(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer e.release()
	began := time.Now()
	before := e.state.Load()
	next := before.clone()
	if err := e.plan(ctx, &before, &next, plan); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := e.save(ctx, next); err != nil {
		e.mustRebuild()
		return fmt.Errorf("%s: %w", what, err)
	}
	e.state.Store(next)
	if err := e.apply(ctx, before, next); err != nil {
		e.undo(ctx, what, before, next)
		return fmt.Errorf("%s: %w", what, err)
	}
	e.cfg.Log.Info("request done", "request", what, "took", time.Since(began).Round(time.Microsecond))
	return nil
}

// plan runs a request's plan. If that meets something in use, containers whose namespaces vanished a moment ago may be
// what uses it: they are let go, and the plan is tried again.
func (e *Engine) plan(ctx context.Context, before, next **state, plan func(next *state) error) error {
	err := plan(*next)
	if err == nil {
		return nil
	}
	e.mustRebuild()
	switch api.AsError(err).Code {
	case api.AlreadyExists, api.Conflict, api.InUse, api.PortInUse, api.ResourceExhausted:
	default:
		return err
	}
	if !e.letGoVanished(ctx) {
		return err
	}
	*before = e.state.Load()
	*next = (*before).clone()
	if err := plan(*next); err != nil {
		e.mustRebuild()
		return err
	}
	return nil
}

// save commits a state to the store.
func (e *Engine) save(ctx context.Context, next *state) error {
	if e.doubtful {
		stored, err := loadState(ctx, e.cfg.Store)
		if err != nil {
			return err
		}
		e.saved, e.doubtful = stored, false
	}
	records, err := next.recordsSince(e.saved)
	if err != nil {
		return err
	}
	if err := e.cfg.Store.Commit(ctx, records); err != nil {
		e.doubtful = true
		e.kick()
		return err
	}
	e.saved = next
	return nil
}

// mustRebuild puts the books back after a failure. The state was consistent when it was made, so that the books can
// be made of it again.
func (e *Engine) mustRebuild() {
	if err := e.rebuild(); err != nil {
		e.cfg.Log.Error("state contradicts itself", "error", err)
	}
}

// undo leads store and kernel back from a state that could not be reached. What fails here the next reconcile repeats.
func (e *Engine) undo(ctx context.Context, what string, before, next *state) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	e.state.Store(before)
	e.mustRebuild()
	if err := e.save(ctx, before); err != nil {
		e.cfg.Log.Error("failed request is still in the store", "request", what, "error", err)
		e.kick()
	}
	t := &transition{e: e, from: next, to: before, tolerant: true, gone: map[string]bool{}}
	if err := t.run(ctx); err != nil || len(t.problems) > 0 {
		e.cfg.Log.Error("failed request is not undone yet", "request", what, "error", err, "problems", t.problems)
		e.kick()
	}
}

// kick asks the loop for a reconcile soon.
func (e *Engine) kick() {
	select {
	case e.wake <- struct{}{}:
	default: // one is pending
	}
}
