// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"slices"
	"testing"

	"github.com/vethway/vethway/control"
)

func TestDetour(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.Detour = true })
	reconcile := func() error { return w.engine.Reconcile(t.Context()) }
	if err := reconcile(); err != nil {
		t.Fatal(err)
	}
	first := w.plane.State().Detour
	if first.Index == 0 {
		t.Fatal("the packet programs know of no detour")
	}
	owned, err := w.links.Owned(t.Context())
	if err != nil || !slices.Contains(owned, control.DetourLink) {
		t.Errorf("links after a reconcile: %v, %v", owned, err)
	}
	// Somebody removed it.
	w.links.RemoveLink(control.DetourLink)
	if err := reconcile(); err != nil {
		t.Fatal(err)
	}
	if again := w.plane.State().Detour; again.Index == 0 || again.Index == first.Index {
		t.Errorf("after it was removed: %+v, before %+v", again, first)
	}
	// It cannot be made: that is reported, and the rest works.
	w.fail("EnsureDetour")
	if err := reconcile(); err == nil {
		t.Error("a failure is not reported")
	}
	status, err := w.engine.Status(t.Context())
	if err != nil || len(status.Degraded) != 1 || status.Degraded[0].Subject != "fragments" {
		t.Errorf("degraded: %+v, %v", status.Degraded, err)
	}
	if now := w.plane.State().Detour; now.Index != 0 {
		t.Errorf("the packet programs still use %+v", now)
	}
	w.fail()
	// A kernel that cannot: what an earlier one left is removed.
	w.config.Detour = false
	w.restart()
	if err := reconcile(); err != nil {
		t.Fatal(err)
	}
	if owned, err := w.links.Owned(t.Context()); err != nil || len(owned) > 0 {
		t.Errorf("links without a detour: %v, %v", owned, err)
	}
}
