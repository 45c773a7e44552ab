// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vethway/vethway/test/rivals"
)

// Config says what to run.
type Config struct {
	// Program is vethwayd's path.
	Program string
	// Want narrows the cases down; nil: all.
	Want func(Case) bool
	// Hurry says which results are known to be failures, and not worth much waiting; nil: none.
	Hurry func(c Case, target, family string) bool
	// AtOnce is how many labs of a target stand side by side: most of the time they wait.
	AtOnce int
}

// Run runs the cases through one target, lab by lab.
func Run(ctx context.Context, target string, cfg Config) ([]Result, error) {
	var all sync.WaitGroup
	labs := groups(cfg.Want)
	found, errs := make([][]Result, len(labs)), make([]error, len(labs))
	slots := make(chan struct{}, cfg.AtOnce)
	for i, group := range labs {
		slots <- struct{}{}
		all.Go(func() {
			found[i], errs[i] = runGroup(ctx, target, cfg, group)
			<-slots
		})
	}
	all.Wait()
	results := slices.Concat(found...)
	slices.SortStableFunc(results, func(a, b Result) int { return number(a) - number(b) })
	return results, errors.Join(errs...)
}

// number is that of the behaviour.
func number(r Result) int {
	n := 0
	fmt.Sscanf(r.ID, "N%d", &n)
	return n
}

// groups puts the cases together that can share a lab.
func groups(want func(Case) bool) [][]Case {
	var all [][]Case
	index := map[LabConfig]int{}
	for _, c := range Cases() {
		if want != nil && !want(c) {
			continue
		}
		i, known := index[c.Lab]
		if !known {
			i = len(all)
			index[c.Lab] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], c)
	}
	return all
}

func runGroup(ctx context.Context, target string, cfg Config, cases []Case) (results []Result, err error) {
	families := []rivals.Family{rivals.IPv4, rivals.IPv6}
	var lab *Lab
	for _, c := range cases {
		for _, f := range families {
			if why := c.pointless(target); why != "" {
				results = append(results, Result{ID: c.ID, Case: c.Name, Family: f.String(), Target: target, Result: NotApplicable, Note: why})
				continue
			}
			if lab == nil {
				if lab, err = newLab(ctx, target, c.Lab, cfg.Program); err != nil {
					return results, err
				}
				defer func() { err = errors.Join(err, lab.Close()) }()
			}
			wait := patience
			if cfg.Hurry != nil && cfg.Hurry(c, target, f.String()) {
				wait = hurry
			}
			results = append(results, runCase(ctx, c, lab, f, wait))
		}
	}
	return results, nil
}
