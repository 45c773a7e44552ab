// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

// Differences says which targets' veths are set in another way than those of most targets, and in what. Targets that are to
// be compared have the same; what one of them sets on purpose, such as larger GSO packets, a reader has to know.
func Differences(targets map[string]report.Setting) []string {
	names := slices.Sorted(maps.Keys(targets))
	settings := make(map[string]map[string]string)
	for _, name := range names {
		settings[name] = vethSettings(targets[name])
	}
	usual := make(map[string]string)
	for _, what := range properties(settings) {
		usual[what] = usualValue(settings, names, what)
	}
	var list []string
	for _, name := range names {
		var differs []string
		for _, what := range slices.Sorted(maps.Keys(usual)) {
			if has := settings[name][what]; has != usual[what] {
				differs = append(differs, fmt.Sprintf("%s %s (others %s)", what, has, usual[what]))
			}
		}
		if len(differs) > 0 {
			list = append(list, name+": "+strings.Join(differs, ", "))
		}
	}
	return list
}

func properties(settings map[string]map[string]string) []string {
	all := make(map[string]bool)
	for _, of := range settings {
		for what := range of {
			all[what] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// usualValue is what most of the targets have; of two that as many have, the first by name has it.
func usualValue(settings map[string]map[string]string, names []string, what string) string {
	votes := make(map[string]int)
	usual := ""
	for _, name := range names {
		votes[settings[name][what]]++
	}
	for _, name := range names {
		if value := settings[name][what]; usual == "" || votes[value] > votes[usual] {
			usual = value
		}
	}
	return usual
}

// vethSettings maps each property to all values that it has on the veths of a target.
func vethSettings(setting report.Setting) map[string]string {
	values := make(map[string][]string)
	for _, state := range setting.Devices {
		state, ok := strings.CutPrefix(state, "veth ")
		if !ok {
			continue
		}
		words := strings.Fields(state)
		for i := 0; i+1 < len(words); i += 2 {
			values[words[i]] = append(values[words[i]], words[i+1])
		}
	}
	settings := make(map[string]string)
	for what, of := range values {
		slices.Sort(of)
		settings[what] = strings.Join(slices.Compact(of), " and ")
	}
	return settings
}
