// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"

	"github.com/vethway/vethway/cmd/internal/bench/target"
)

// In and out are seen from the container, whichever side made the connection.
func TestWhoSends(t *testing.T) {
	for _, tc := range []struct {
		workload   string
		scenario   target.Scenario
		fromServer bool
	}{
		{"stream-in", target.Published, false},
		{"stream-out", target.Published, true},
		{"stream-in", target.Masquerade, true},
		{"stream-out", target.Masquerade, false},
		{"stream-in-4", target.ContainerToContainer, false},
		{"udp", target.Masquerade, false},
		{"rr", target.Masquerade, false},
	} {
		chosen, err := Choose([]string{tc.workload})
		if err != nil {
			t.Fatal(err)
		}
		if got := chosen[0].Order(tc.scenario).FromServer; got != tc.fromServer {
			t.Errorf("%s of %s: FromServer = %v, want %v", tc.workload, tc.scenario, got, tc.fromServer)
		}
	}
}

func TestChoose(t *testing.T) {
	chosen, err := Choose(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range chosen {
		if w.Extra {
			t.Errorf("%s was chosen unasked", w.Name)
		}
	}
	if _, err := Choose([]string{"rr", "idle"}); err == nil {
		t.Error("a workload that does not exist was chosen")
	}
}
