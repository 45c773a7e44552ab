// SPDX-License-Identifier: Apache-2.0

package target

import (
	"slices"
	"testing"
)

func TestScenariosAreComplete(t *testing.T) {
	for _, s := range Scenarios() {
		if s.About() == "" {
			t.Errorf("nothing is said about scenario %s", s)
		}
		if hasPlace := s.place() != ""; hasPlace == (s == Masquerade || s == ContainerToContainer) {
			t.Errorf("scenario %s: place %q", s, s.place())
		}
	}
	want := []Scenario{Published, Masquerade, ContainerToContainer}
	if got := DefaultScenarios(); !slices.Equal(got, want) {
		t.Errorf("DefaultScenarios = %v, want %v", got, want)
	}
}
