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
		"one of three": {map[string]report.Setting{
			"one": target("veth tso on"), "odd": target("veth tso on", "veth tso off"), "two": target("veth tso on"),
		}, []string{"odd has veths with tso off; tso on, others tso on"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Differences(tc.targets); !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
