// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"slices"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// What only datagrams of the host's need is attached while they are asked for, whoever runs the daemon, and put back if somebody takes it off.
func TestDatagramHooksComeAndGo(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	hooks := []string{bpf.VethwayProgVwSendmsg4, bpf.VethwayProgVwSendmsg6, bpf.VethwayProgVwRecvmsg4, bpf.VethwayProgVwRecvmsg6}
	want := func(what string, o *running, n int) {
		t.Helper()
		var pinned, attached []string
		for _, f := range l.files() {
			if slices.ContainsFunc(hooks, func(h string) bool { return f == "links/"+h }) {
				pinned = append(pinned, f)
			}
		}
		all, err := o.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if slices.Contains(hooks, a.Program) && a.Attached {
				attached = append(attached, a.Program)
			}
		}
		if len(pinned) != n || len(attached) != n {
			t.Errorf("%s: pinned are %v, attached %v, want %d", what, pinned, attached, n)
		}
	}
	datagrams := func(o *running, on bool) {
		t.Helper()
		if err := o.Datagrams(on); err != nil {
			t.Fatal(err)
		}
	}
	o := l.open(l.config())
	want("at first", o, 0)
	if repaired := o.verify(); len(repaired) > 0 {
		t.Errorf("what nobody has asked for is put back: %v", repaired)
	}
	datagrams(o, false)
	want("not asked for", o, 0)
	for range 2 {
		datagrams(o, true)
		want("asked for", o, 4)
	}
	o.Close()
	o = l.open(l.config())
	want("after a restart", o, 4)
	l.detach(maps.Paths{Root: l.pins}.Link(hooks[2], 0))
	if repaired := o.verify(); !slices.Contains(repaired, hooks[2]) {
		t.Errorf("put back were %v, not %s", repaired, hooks[2])
	}
	want("repaired", o, 4)
	datagrams(o, false)
	want("when all is over", o, 0)
	o.Close()
	o = l.open(l.config())
	want("after another restart", o, 0)
}
