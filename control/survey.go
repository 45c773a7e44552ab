// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"reflect"
)

// survey is a look at the host without holding the turn: on a host with many links it takes longer than a request.
type survey struct {
	facts HostFacts
	err   error
	// learned and learnedPorts are the engine's when it began.
	learned, learnedPorts uint64
}

func (e *Engine) survey(ctx context.Context) survey {
	s := survey{learned: e.learned.Load(), learnedPorts: e.learnedPorts.Load()}
	s.facts, s.err = e.cfg.Links.Host(ctx)
	return s
}

// take has the holder of the turn believe a survey. Where a request knows better by now, it is what counts: of the host's links it knows
// when it made or removed some of ours, of ports when it published some.
func (e *Engine) take(ctx context.Context, s survey) (changed bool, err error) {
	if s.learned != e.learned.Load() {
		s.facts, s.err = e.cfg.Links.Host(ctx)
	} else if now := e.kernel.facts; s.learnedPorts != e.learnedPorts.Load() {
		s.facts.PortRange, s.facts.ReservedPorts, s.facts.Bound = now.PortRange, now.ReservedPorts, now.Bound
	}
	if s.err != nil || reflect.DeepEqual(s.facts, e.kernel.facts) {
		return false, s.err
	}
	e.learn(s.facts)
	return true, nil
}

// learn is for the holder of the turn, who has just surveyed the host.
func (e *Engine) learn(facts HostFacts) {
	e.kernel.facts = facts
	e.learned.Add(1)
}
