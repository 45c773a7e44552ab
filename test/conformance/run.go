// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	// Progress is told each result as it comes; nil: nobody is.
	Progress func(Result)
}

// Run runs the cases through one target, lab by lab.
func Run(ctx context.Context, target string, cfg Config) ([]Result, error) {
	var results []Result
	var errs []error
	for _, group := range groups(cfg.Want) {
		r, err := runGroup(ctx, target, cfg, group)
		results = append(results, r...)
		if err != nil {
			errs = append(errs, err)
		}
	}
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
	note := func(r Result) {
		results = append(results, r)
		if cfg.Progress != nil {
			cfg.Progress(r)
		}
	}
	families := []rivals.Family{rivals.IPv4, rivals.IPv6}
	var lab *Lab
	for _, c := range cases {
		for _, f := range families {
			if c.NAT && target == Router {
				note(Result{ID: c.ID, Case: c.Name, Family: f.String(), Target: target, Result: NotApplicable, Note: "it translates nothing"})
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
			note(runCase(ctx, c, lab, f, wait))
		}
	}
	return results, nil
}
