// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vethway/vethway/control/api"
)

// report is what the last reconcile found.
type report struct {
	at       time.Time
	uplinks  []UplinkFacts
	degraded []api.Condition
}

// Reconcile compares the host with the desired state and puts right what differs. What it could not put right is
// joined in its error, and shown by Status.
func (e *Engine) Reconcile(ctx context.Context) error {
	seen := e.survey(ctx)
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer e.release()
	return e.reconcile(ctx, seen)
}

// reconcile is for the holder of the turn. The first one keeps it until the host is adopted.
func (e *Engine) reconcile(ctx context.Context, seen survey) error {
	_, err := e.take(ctx, seen)
	if err != nil && !e.adopted {
		// Without knowing the uplinks, a Sync would take the programs off them.
		return fmt.Errorf("read the host's network: %w", err)
	}
	t := &transition{e: e, from: newState(), tolerant: true, gone: map[string]bool{}}
	if err != nil {
		t.problems = append(t.problems, problem{"host", err})
	}
	reconcile := t.reconcileParts
	if !e.adopted {
		reconcile = t.adopt
	}
	if err := reconcile(ctx); err != nil {
		return err
	}
	if err := t.removeUnnamed(ctx); err != nil {
		t.problems = append(t.problems, problem{"host", err})
	}
	e.settle(ctx, t)
	e.publishReport(t.problems)
	errs := make([]error, len(t.problems))
	for i, p := range t.problems {
		errs[i] = fmt.Errorf("%s: %w", p.subject, p.err)
	}
	return errors.Join(errs...)
}

// adopt is a transition from nothing. From the moment that all links have been looked at, the engine counts as adopted: it knows
// what it would tell the programs.
func (t *transition) adopt(ctx context.Context) error {
	t.e.letGoVanished(ctx)
	t.to = t.e.state.Load()
	err := t.steps(ctx, t.ensureDetour, t.ensureBridges, t.ensureCutter, t.ensureEndpoints, t.recordInterfaces)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	t.e.adopted = true
	if err := t.steps(ctx, t.sync, t.activate, t.setRoutes); err != nil {
		return err
	}
	if len(t.gone) > 0 {
		t.e.letGo(ctx, t.gone)
	}
	return nil
}

// ensureDetour: a host without it works but for fragments out of order.
func (t *transition) ensureDetour(ctx context.Context) error {
	if !t.e.cfg.Detour {
		return nil
	}
	info, err := t.e.cfg.Links.EnsureDetour(ctx)
	if err != nil {
		t.problems = append(t.problems, problem{"fragments", err})
	}
	t.e.kernel.detour = info
	return nil
}

// refresh tells the packet programs what changed on the host: cheap beside a reconcile, as it looks at no container.
func (e *Engine) refresh(ctx context.Context) error {
	seen := e.survey(ctx)
	if err := e.acquire(ctx); err != nil {
		return err
	}
	defer e.release()
	changed, err := e.take(ctx, seen)
	if err != nil || !changed {
		return err
	}
	return e.cfg.Dataplane.Sync(ctx, e.dataplaneState(e.state.Load()))
}

// removeUnnamed removes links that are ours by name, but that no state names.
func (t *transition) removeUnnamed(ctx context.Context) error {
	owned, err := t.e.cfg.Links.Owned(ctx)
	if err != nil {
		return fmt.Errorf("list our links: %w", err)
	}
	named := map[string]bool{DetourLink: t.e.cfg.Detour, CutterLink: true}
	now := t.e.state.Load()
	for _, n := range now.networks {
		named[n.Bridge] = true
	}
	for _, c := range now.containers {
		for _, ep := range c.Endpoints {
			named[ep.hostName()] = true
		}
	}
	for _, name := range owned {
		if named[name] {
			continue
		}
		var err error
		switch {
		case isBridge(name):
			err = t.e.cfg.Links.RemoveBridge(ctx, name)
		case name == DetourLink:
			err = t.e.cfg.Links.RemoveDetour(ctx)
		default:
			err = t.e.cfg.Links.RemoveEndpoint(ctx, EndpointSpec{HostName: name})
		}
		if err != nil {
			t.problems = append(t.problems, problem{"link " + name, err})
		} else {
			t.e.cfg.Log.Info("removed a link that nothing names", "link", name)
		}
	}
	return nil
}

// settle writes what the store failed to take before, and notes what the host has that does not go with ours.
func (e *Engine) settle(ctx context.Context, t *transition) {
	now := e.state.Load()
	if now != e.saved || e.doubtful {
		if err := e.save(ctx, now); err != nil {
			t.problems = append(t.problems, problem{"state", err})
		}
	}
	for _, n := range now.sortedNetworks() {
		for _, addr := range n.hostAddrs() {
			if !now.hostOwns(addr, e.kernel.facts) {
				t.problems = append(t.problems, problem{
					"network " + n.Name, fmt.Errorf("%s, which containers leave with, is no address of the host's any more", addr),
				})
			}
		}
		for _, a := range []*addressing{n.IPv4, n.IPv6} {
			if a == nil {
				continue
			}
			if what, ok := hostOverlap(a.Subnet, e.kernel.facts); ok {
				t.problems = append(t.problems, problem{
					"network " + n.Name, fmt.Errorf("subnet %s has come to overlap %s", a.Subnet, what),
				})
			}
		}
	}
}

// letGoVanished lets go of containers whose namespaces no longer exist, and says whether there were any.
func (e *Engine) letGoVanished(ctx context.Context) bool {
	gone := e.vanished(ctx, slices.Collect(maps.Values(e.state.Load().containers)))
	if len(gone) == 0 {
		return false
	}
	e.letGo(ctx, gone)
	return true
}

// vanished are those of the containers whose namespaces no longer exist.
func (e *Engine) vanished(ctx context.Context, some []*container) map[string]bool {
	gone := map[string]bool{}
	for _, c := range some {
		ref, err := e.cfg.Links.OpenNamespace(ctx, c.Namespace.Path)
		if namespaceGone(err) || err == nil && ref.Cookie != c.Namespace.Cookie {
			gone[c.ID] = true
		}
	}
	return gone
}

// letGo detaches containers without anybody having asked. Their addresses stay theirs as long as nobody else needs them.
func (e *Engine) letGo(ctx context.Context, gone map[string]bool) {
	before := e.state.Load()
	next := before.clone()
	for id := range gone {
		c := next.containers[id]
		e.forget(next, c)
		e.cfg.Log.Info("container's namespace vanished", "container", c.Name, "namespace", c.Namespace.Path)
	}
	if err := e.save(ctx, next); err != nil {
		e.cfg.Log.Error("state not written", "error", err)
		e.kick()
	}
	e.state.Store(next)
	if !e.adopted {
		return // the reconcile that is under way removes the links
	}
	t := &transition{e: e, from: before, to: next, tolerant: true, gone: map[string]bool{}}
	if err := t.run(ctx); err != nil || len(t.problems) > 0 {
		e.cfg.Log.Warn("vanished containers are not cleaned up yet", "error", err, "problems", len(t.problems))
		e.kick()
	}
}

// forget takes a container out of a state and out of the books.
func (e *Engine) forget(next *state, c *container) {
	for _, ep := range c.Endpoints {
		e.pools[ep.Network].release(ep)
		next.leases[ep.Network] = e.pools[ep.Network].lease()
	}
	e.ports.Release(c.bindings())
	delete(next.containers, c.ID)
}

// publishReport makes the problems readable, and logs those that are new.
func (e *Engine) publishReport(problems []problem) {
	now := time.Now()
	r := &report{at: now, uplinks: e.uplinks()}
	before := e.report.Load().degraded
	for _, p := range problems {
		c := api.Condition{Subject: p.subject, Message: p.err.Error(), Since: now}
		known := false
		for _, old := range before {
			if old.Subject == c.Subject && old.Message == c.Message {
				c.Since, known = old.Since, true
			}
		}
		if !known {
			e.cfg.Log.Warn("degraded", "subject", c.Subject, "error", c.Message)
		}
		r.degraded = append(r.degraded, c)
	}
	e.report.Store(r)
}
