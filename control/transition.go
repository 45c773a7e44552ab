// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/vethway/vethway/control/api"
)

// transition leads the kernel from one state to another. A request is one from the present state to the next, undoing
// it is one back, and a reconcile is one from nothing at all: there is no other way by which links are made or removed.
//
// The order matters. Links are made before the programs learn of them, a new endpoint stays down until the programs
// are attached, and what goes is taken from the programs before its links are removed: so no packet passes a link that
// is not guarded.
type transition struct {
	e        *Engine
	from, to *state
	// tolerant goes on after a failure and collects problems; otherwise the first one ends the transition.
	tolerant bool
	problems []problem
	// gone are containers whose namespaces turned out to have vanished.
	gone map[string]bool
	// ensured are endpoints that await activation, news tells that some of them are other than they were, and synced that the
	// programs know of them.
	ensured      []attachment
	news, synced bool
}

// attachment is an endpoint with what it belongs to.
type attachment struct {
	network   *network
	container *container
	endpoint  *endpoint
}

func (t *transition) spec(a attachment) EndpointSpec {
	return t.e.endpointSpec(a.network, a.container, a.endpoint)
}

// problem is something that could not be put right.
type problem struct {
	subject string
	err     error
}

// apply leads the kernel from one state to another, which is the engine's already.
func (e *Engine) apply(ctx context.Context, from, to *state) error {
	t := &transition{e: e, from: from, to: to}
	err := t.run(ctx)
	for _, p := range t.problems {
		e.cfg.Log.Warn("left to the next reconcile", "subject", p.subject, "error", p.err)
	}
	if len(t.problems) > 0 {
		e.kick()
	}
	return err
}

func (t *transition) run(ctx context.Context) error {
	return t.steps(ctx, t.ensureBridges, t.ensureCutter, t.ensureEndpoints, t.recordInterfaces, t.sync, t.activate, t.setRoutes, t.remove)
}

func (t *transition) steps(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// failed notes a failure and says whether it ends the transition.
func (t *transition) failed(subject string, err error) error {
	if !t.tolerant {
		return fmt.Errorf("%s: %w", subject, explain(err))
	}
	t.problems = append(t.problems, problem{subject, err})
	return nil
}

// explain gives the errors of Links that a user can do something about their codes.
func explain(err error) error {
	switch {
	case namespaceGone(err):
		return api.Errorf(api.NotFound, "%w", err).WithHint("attach the container anew with the namespace that it has now")
	case errors.Is(err, fs.ErrExist):
		return api.Errorf(api.Conflict, "%w", err).WithHint("choose another interface name, or leave it out")
	}
	return err
}

func namespaceGone(err error) bool {
	return errors.Is(err, ErrNamespaceGone) || errors.Is(err, fs.ErrNotExist)
}

func (t *transition) ensureBridges(ctx context.Context) error {
	for _, n := range t.to.sortedNetworks() {
		if t.from.networks[n.ID] == n {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := t.e.cfg.Links.EnsureBridge(ctx, t.e.bridgeSpec(n))
		if err == nil {
			t.e.kernel.bridges[n.ID] = info
		} else if err := t.failed("network "+n.Name, err); err != nil {
			return err
		}
	}
	return nil
}

// ensureCutter: a host without it cuts up for its containers only what arrives where it forwards.
func (t *transition) ensureCutter(ctx context.Context) error {
	if maps.Equal(t.from.networks, t.to.networks) {
		return nil
	}
	var cuts []Cut
	for _, n := range t.to.sortedNetworks() {
		if n.IPv4 != nil {
			cuts = append(cuts, Cut{n.IPv4.Subnet, n.MTU})
		}
	}
	info, err := t.e.cfg.Links.EnsureCutter(ctx, cuts)
	if err != nil {
		t.problems = append(t.problems, problem{"datagrams too big", err})
	}
	t.e.kernel.cutter = info
	return nil
}

func (t *transition) ensureEndpoints(ctx context.Context) error {
	for _, c := range t.to.changedSince(t.from) {
		before := t.from.containers[c.ID]
		for _, ep := range c.Endpoints {
			if before != nil && slices.Contains(before.Endpoints, ep) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.ensureEndpoint(ctx, attachment{t.to.networks[ep.Network], c, ep}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *transition) ensureEndpoint(ctx context.Context, a attachment) error {
	if _, ok := t.e.kernel.bridges[a.network.ID]; !ok {
		return nil // its own failure has been noted
	}
	spec := t.spec(a)
	info, err := t.e.cfg.Links.EnsureEndpoint(ctx, spec)
	if errors.Is(err, fs.ErrExist) && a.endpoint.NameChosen && spec.ContainerName != "" {
		// The interface was lost, and its name, which nobody asked for, has been taken meanwhile.
		spec.ContainerName = ""
		info, err = t.e.cfg.Links.EnsureEndpoint(ctx, spec)
	}
	if err == nil {
		t.news = t.news || t.e.kernel.ends[a.endpoint.ID] != info
		t.e.kernel.ends[a.endpoint.ID] = info
		t.ensured = append(t.ensured, a)
		return nil
	}
	if t.tolerant && namespaceGone(err) {
		t.gone[a.container.ID] = true
		return nil
	}
	return t.failed("container "+a.container.Name, err)
}

// recordInterfaces makes the interface names that the kernel chose part of the state, so that they stay.
func (t *transition) recordInterfaces(ctx context.Context) error {
	var next *state
	for _, a := range t.ensured {
		name := t.e.kernel.ends[a.endpoint.ID].ContainerName
		if name == "" || name == a.endpoint.Interface {
			continue
		}
		if next == nil {
			next = t.to.clone()
		}
		c := *next.containers[a.container.ID]
		c.Endpoints = slices.Clone(c.Endpoints)
		ep := *a.endpoint
		ep.Interface, ep.NameChosen = name, true
		c.Endpoints[slices.Index(c.Endpoints, a.endpoint)] = &ep
		next.containers[c.ID] = &c
	}
	if next == nil {
		return nil
	}
	if err := t.e.save(ctx, next); err != nil {
		if err := t.failed("state", err); err != nil {
			return err
		}
	}
	t.e.state.Store(next)
	// The attachments are to be those of the new state.
	for i, a := range t.ensured {
		c := next.containers[a.container.ID]
		t.ensured[i] = attachment{a.network, c, c.on(a.network.ID)}
	}
	t.to = next
	return nil
}

func (t *transition) sync(ctx context.Context) error {
	t.synced = false
	if !maps.Equal(t.from.networks, t.to.networks) {
		// Bridges came or went, and their addresses with them.
		facts, err := t.e.cfg.Links.Host(ctx)
		if err == nil {
			t.e.learn(facts)
		} else if err := t.failed("host", err); err != nil {
			return err
		}
	}
	if err := t.e.cfg.Dataplane.Sync(ctx, t.e.dataplaneState(t.to)); err != nil {
		return t.failed("packet programs", err)
	}
	t.synced = true
	return nil
}

func (t *transition) activate(ctx context.Context) error {
	if !t.synced {
		return nil // what is down stays down: it may not be guarded
	}
	for _, a := range t.ensured {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.e.cfg.Links.ActivateEndpoint(ctx, t.spec(a)); err != nil {
			if err := t.failed("container "+a.container.Name, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// setRoutes sets the default routes of containers that changed.
func (t *transition) setRoutes(ctx context.Context) error {
	fresh := map[string]bool{}
	for _, a := range t.ensured {
		fresh[a.container.ID] = true
	}
	for _, c := range t.to.changedSince(t.from) {
		before := t.from.containers[c.ID]
		if t.gone[c.ID] || len(c.Endpoints) == 0 {
			continue
		}
		routes := t.to.defaultRoutes(c)
		if before != nil && !fresh[c.ID] && routes == t.from.defaultRoutes(before) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.e.cfg.Links.SetDefaultRoutes(ctx, c.Namespace, routes); err != nil {
			if err := t.failed("container "+c.Name, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove takes away the links that only the old state has. A failure never ends the transition: the programs know no more
// of them, and the next reconcile removes what is left.
func (t *transition) remove(ctx context.Context) error {
	for _, c := range t.from.changedSince(t.to) {
		now := t.to.containers[c.ID]
		for _, ep := range c.Endpoints {
			if now != nil && now.on(ep.Network) != nil && now.on(ep.Network).ID == ep.ID {
				continue
			}
			delete(t.e.kernel.ends, ep.ID)
			a := attachment{t.from.networks[ep.Network], c, ep}
			if err := t.e.cfg.Links.RemoveEndpoint(ctx, t.spec(a)); err != nil {
				t.problems = append(t.problems, problem{"container " + c.Name, err})
			}
		}
	}
	for _, n := range t.from.sortedNetworks() {
		if t.to.networks[n.ID] != nil {
			continue
		}
		delete(t.e.kernel.bridges, n.ID)
		if err := t.e.cfg.Links.RemoveBridge(ctx, n.Bridge); err != nil {
			t.problems = append(t.problems, problem{"network " + n.Name, err})
		}
	}
	return nil
}
