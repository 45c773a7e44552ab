// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Way is a kind of traffic whose path can be proven: Outward, Inside, or what
// goes to a published port from a place, Way(FromRemote) for instance.
type Way string

const (
	// Outward is a container and a server on the remote.
	Outward Way = "outward"
	// Inside is a container and its neighbour.
	Inside Way = "inside"
)

// Counters are one reading of what a target's way counts, by names of its own.
// Most only grow; "tracked" is how many flows netfilter knows at the time.
type Counters map[string]uint64

// evidence is what counters must show around traffic of one way.
type evidence struct {
	moved []string // more than before
	still []string // as before
	none  []string // zero afterwards
	some  []string // not zero afterwards
	// few has grown by little beside many: what a host says on its own, such as
	// neighbour discovery, is no traffic.
	few, many string
}

// The part of many that few may be, and what may come on top of it.
const (
	fewShare = 20
	fewSlack = 200
)

// check compares two readings and tells what they show.
func (e evidence) check(before, after Counters) (string, error) {
	var shown []string
	var errs []error
	grown := func(name string) uint64 { return after[name] - before[name] }
	for _, name := range e.moved {
		shown = append(shown, fmt.Sprintf("%s +%d", name, grown(name)))
		if grown(name) == 0 {
			errs = append(errs, fmt.Errorf("%s did not move from %d", name, before[name]))
		}
	}
	for _, name := range e.still {
		shown = append(shown, fmt.Sprintf("%s +%d", name, grown(name)))
		if grown(name) != 0 {
			errs = append(errs, fmt.Errorf("%s moved by %d", name, grown(name)))
		}
	}
	for _, name := range slices.Concat(e.none, e.some) {
		shown = append(shown, fmt.Sprintf("%s %d", name, after[name]))
		if none := slices.Contains(e.none, name); none == (after[name] != 0) {
			errs = append(errs, fmt.Errorf("%s is %d", name, after[name]))
		}
	}
	if e.few != "" {
		shown = append(shown, fmt.Sprintf("%s +%d", e.few, grown(e.few)))
		if grown(e.few) > grown(e.many)/fewShare+fewSlack {
			errs = append(errs, fmt.Errorf("%s moved by %d, %s by %d", e.few, grown(e.few), e.many, grown(e.many)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("the traffic took another path: %w", err)
	}
	return strings.Join(shown, ", "), nil
}

// Prove compares two readings of a target's counters around traffic, and fails
// when that took another path than the one that the target stands for.
func Prove(t Target, w Way, f Family, before, after Counters) (string, error) {
	e, err := t.evidence(w, f)
	if err != nil {
		return "", fmt.Errorf("prove %s: %w", t.Name(), err)
	}
	shown, err := e.check(before, after)
	if err != nil {
		return "", fmt.Errorf("prove %s over %s by %s: %w", w, f, t.Name(), err)
	}
	return shown, nil
}

// proof is what all counters say, and fails when none of some names has moved.
func proof(ctx context.Context, t Target, any ...string) (string, error) {
	c, err := t.Counters(ctx)
	if err != nil {
		return "", err
	}
	var sum uint64
	for _, name := range any {
		sum += c[name]
	}
	if sum == 0 {
		return "", fmt.Errorf("prove %s: nothing has counted a packet: %s", t.Name(), strings.Join(any, ", "))
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] != 0 {
			words = append(words, fmt.Sprintf("%s %d", name, c[name]))
		}
	}
	return strings.Join(words, ", "), nil
}

// by names a counter of one family.
func by(f Family, name string) string { return f.String() + " " + name }
