// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"slices"
	"testing"

	"github.com/vethway/vethway/control"
)

// Every IPv4 network has its datagrams cut to its own MTU, from its first moment to its last.
func TestCutter(t *testing.T) {
	w := newWorld(t)
	w.network("n1")
	w.network("n2")
	before := w.links.Cuts()
	if len(before) != 2 {
		t.Fatalf("cut for %v", before)
	}
	first := w.plane.State().Cutter
	if first.Index == 0 {
		t.Fatal("the packet programs know nobody who cuts")
	}
	if err := w.engine.RemoveNetwork(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	if cuts := w.links.Cuts(); len(cuts) != 1 || cuts[0] == before[0] || cuts[0].MTU == 0 {
		t.Errorf("after a network went: %v", cuts)
	}
	// Somebody removed it.
	w.links.RemoveLink(control.CutterLink)
	if err := w.engine.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := w.plane.State().Cutter; again.Index == 0 || again.Index == first.Index {
		t.Errorf("after it was removed: %+v, before %+v", again, first)
	}
	if owned, err := w.links.Owned(t.Context()); err != nil || !slices.Contains(owned, control.CutterLink) {
		t.Errorf("our links: %v, %v", owned, err)
	}
	// It cannot be made: that is reported, and the rest works.
	w.fail("EnsureCutter")
	if err := w.engine.Reconcile(t.Context()); err == nil {
		t.Error("a failure is not reported")
	}
	status, err := w.engine.Status(t.Context())
	if err != nil || len(status.Degraded) != 1 || status.Degraded[0].Subject != "datagrams too big" {
		t.Errorf("degraded: %+v, %v", status.Degraded, err)
	}
	if now := w.plane.State().Cutter; now.Index != 0 {
		t.Errorf("the packet programs still use %+v", now)
	}
}
