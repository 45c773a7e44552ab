// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vethway/vethway/test/behaviour"
)

// parseResults reads one JSON result a line.
func parseResults(data []byte) ([]behaviour.Result, error) {
	var rows []behaviour.Result
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var r behaviour.Result
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// merge sorts the results, keeps the worst of a test that ran more than once,
// and adds a row for every family in which a required behaviour has no test.
func merge(recorded []behaviour.Result, list []behaviour.Behaviour) []behaviour.Result {
	type key struct{ id, family, test string }
	worst := map[key]string{}
	for _, r := range recorded {
		k := key{r.ID, r.Family, r.Test}
		if badness(r.Result) >= badness(worst[k]) {
			worst[k] = r.Result
		}
	}
	var rows []behaviour.Result
	for k, result := range worst {
		rows = append(rows, behaviour.Result{ID: k.id, Family: k.family, Test: k.test, Result: result})
	}
	for _, b := range list {
		if b.Required {
			rows = append(rows, missing(b, rows)...)
		}
	}
	slices.SortFunc(rows, func(a, b behaviour.Result) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Test, b.Test))
	})
	return rows
}

// badness orders outcomes; an unknown one is the worst.
func badness(result string) int {
	if result == "" {
		return -1
	}
	if i := slices.Index([]string{behaviour.Pass, behaviour.Skipped, behaviour.Fail}, result); i >= 0 {
		return i
	}
	return 3
}

// missing gives a row for each family that b must be proven in and is not
// spoken of. A behaviour in which the family matters is not proven by a test
// that claims no family.
func missing(b behaviour.Behaviour, rows []behaviour.Result) []behaviour.Result {
	covered := map[string]bool{}
	for _, r := range rows {
		if r.ID != b.ID {
			continue
		}
		covered[r.Family] = true
		if r.Family == behaviour.Both {
			covered[behaviour.IPv4], covered[behaviour.IPv6] = true, true
		}
	}
	if b.Families == behaviour.None {
		if len(covered) > 0 {
			return nil
		}
		return []behaviour.Result{{ID: b.ID, Family: behaviour.None, Result: behaviour.Missing}}
	}
	var out []behaviour.Result
	for _, f := range []string{behaviour.IPv4, behaviour.IPv6} {
		if !covered[f] {
			out = append(out, behaviour.Result{ID: b.ID, Family: f, Result: behaviour.Missing})
		}
	}
	return out
}

// verdict is an error that lists every row that is not a pass.
func verdict(rows []behaviour.Result) error {
	var bad []string
	for _, r := range rows {
		if r.Result != behaviour.Pass {
			bad = append(bad, rowString(r))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return errors.New("not proven:\n" + strings.Join(bad, "\n"))
}

// tally is one line for a person.
func tally(rows []behaviour.Result) string {
	count := map[string]int{}
	ids := map[string]bool{}
	for _, r := range rows {
		count[r.Result]++
		ids[r.ID] = true
	}
	return fmt.Sprintf("behaviours: %d in %d rows: %d pass, %d fail, %d skip, %d missing", len(ids), len(rows),
		count[behaviour.Pass], count[behaviour.Fail], count[behaviour.Skipped], count[behaviour.Missing])
}
