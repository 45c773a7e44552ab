// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"slices"
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/report"
)

func TestDifferences(t *testing.T) {
	target := func(states ...string) report.Setting {
		s := report.Setting{Devices: map[string]string{"host/br-one": "bridge mtu 1500 tso off"}}
		for i, state := range states {
			s.Devices[string(rune('a'+i))] = state
		}
		return s
	}
	for name, tc := range map[string]struct {
		targets map[string]report.Setting
		want    []string
	}{
		"equal, whatever the number": {map[string]report.Setting{
			"one": target("veth mtu 1500 tso on"), "two": target("veth mtu 1500 tso on", "veth mtu 1500 tso on"),
		}, nil},
		"one of three, and only in what differs": {map[string]report.Setting{
			"one": target("veth mtu 1500 tso on"), "odd": target("veth mtu 1500 tso on", "veth mtu 1500 tso off"), "two": target("veth mtu 1500 tso on"),
		}, []string{"odd: tso off and on (others on)"}},
		"one of two: the first by name is the measure": {map[string]report.Setting{
			"a": target("veth mtu 1500 tso on"), "b": target("veth mtu 9000 tso off"),
		}, []string{"b: mtu 9000 (others 1500), tso off (others on)"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Differences(tc.targets); !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
