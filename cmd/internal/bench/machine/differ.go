// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

// Differences says which targets' veths are set in another way than those of most targets. Targets that are to be compared
// have the same; what one of them sets on purpose, such as larger GSO packets, a reader has to know.
func Differences(targets map[string]report.Setting) []string {
	states := make(map[string]string)
	votes := make(map[string]int)
	for name, setting := range targets {
		states[name] = vethStates(setting)
		votes[states[name]]++
	}
	usual := ""
	for _, state := range slices.Sorted(maps.Keys(votes)) {
		if votes[state] > votes[usual] {
			usual = state
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(states)) {
		if states[name] != usual {
			list = append(list, fmt.Sprintf("%s has veths with %s, others %s", name, states[name], usual))
		}
	}
	return list
}

// vethStates lists the different states that the veths of a target have.
func vethStates(setting report.Setting) string {
	var states []string
	for _, state := range setting.Devices {
		if state, ok := strings.CutPrefix(state, "veth "); ok {
			states = append(states, state)
		}
	}
	slices.Sort(states)
	return strings.Join(slices.Compact(states), "; ")
}
