// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// detach takes a program off, and leaves the pin of its link.
func (l *lab) detach(path string) {
	l.t.Helper()
	ln, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := errors.Join(ln.Detach(), ln.Close()); err != nil {
		l.t.Fatal(err)
	}
}

func TestRepairWhatWasRemovedByHand(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	want, names := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	if repaired := o.verify(); len(repaired) != 0 {
		t.Errorf("repaired although nothing was wrong: %q", repaired)
	}
	files := l.files()
	paths := maps.Paths{Root: l.pins}

	// Somebody detaches two links, one from an interface, one from the cgroup.
	for _, path := range []string{filepath.Join(paths.Links(), names[0]), paths.Link(bpf.VethwayProgVwConnect4, 0)} {
		l.detach(path)
	}
	if slices.Contains(o.attached(), names[0]) {
		t.Fatal("detaching had no effect")
	}
	if repaired := o.verify(); len(repaired) != 2 {
		t.Errorf("repaired %q, want two links", repaired)
	}
	equal(t, "attached again", o.attached(), names)
	equal(t, "pins", l.files(), files)

	// Somebody removes all pins.
	if err := os.RemoveAll(l.pins); err != nil {
		t.Fatal(err)
	}
	equal(t, "attached without pins", o.attached(), names)
	if repaired := o.verify(); len(repaired) != len(files) {
		t.Errorf("repaired %d pins, want %d: %q", len(repaired), len(files), repaired)
	}
	equal(t, "pins put back", l.files(), files)
	o.Close()
	o = l.open(l.config())
	equal(t, "attached after adoption", o.attached(), names)
}

func TestInterfaceNumberUsedAgain(t *testing.T) {
	l := newLab(t)
	index := l.bridge("br0")
	want := loader.Interface{Index: index, Kind: loader.Bridge}
	name := filepath.Base(maps.Paths{}.Link(bpf.VethwayProgVwToBridge, index))
	o := l.open(l.config())
	o.attach(want)
	again := func() {
		t.Helper()
		if err := l.ns.DeleteLink("br0"); err != nil {
			t.Fatal(err)
		}
		if _, err := l.ns.Run(t.Context(), "ip", "link", "add", "br0", "index", fmt.Sprint(index), "type", "bridge"); err != nil {
			t.Fatal(err)
		}
		equal(t, "attached to the new interface", o.attached(), []string{})
	}
	again()
	want.New = true
	o.attach(want)
	equal(t, "attached when it is known to be new", o.attached(), []string{name})
	again()
	o.verify()
	equal(t, "attached by Verify", o.attached(), []string{name})
	again()
	o.Close()
	o = l.open(l.config())
	equal(t, "a link of an interface that is gone is not adopted", o.attached(), []string{})
	want.New = false
	o.attach(want)
	equal(t, "attached after a start", o.attached(), []string{name})

	if err := l.ns.DeleteLink("br0"); err != nil {
		t.Fatal(err)
	}
	if repaired := o.verify(); len(repaired) != 0 {
		t.Errorf("an interface that is gone was repaired: %q", repaired)
	}
	err := l.ns.Do(func() error { return o.Loader.Attach([]loader.Interface{want}) })
	if !errors.Is(err, loader.ErrNoDevice) {
		t.Errorf("attach to no interface: %v", err)
	}
	want.Optional = true
	o.attach(want)
}

func TestClsact(t *testing.T) {
	l := newLab(t)
	want, names := l.fullHost()
	tc := &fakeClsact{filters: make(map[string]loader.ClsactFilter)}
	cfg := l.config()
	cfg.AttachMode, cfg.Clsact = loader.AttachClsact, tc
	o := l.open(cfg)
	o.attach(want...)
	equal(t, "attached by clsact", o.attached(), names)
	equal(t, "the same in tc", tc.names(), names)
	o.Close()

	cfg.PoolFirst, cfg.PoolLast = 2000, 3000
	o = l.open(cfg)
	equal(t, "attached after an upgrade", o.attached(), names)
	if repaired := o.verify(); len(repaired) != 0 {
		t.Errorf("repaired although nothing was wrong: %q", repaired)
	}
	delete(tc.filters, names[1])
	if repaired := o.verify(); len(repaired) != 1 {
		t.Errorf("repaired %q, want one filter", repaired)
	}
	equal(t, "attached again", o.attached(), names)
	o.Close()

	cfg.AttachMode = loader.AttachTCX
	o = l.open(cfg)
	equal(t, "attached by tcx instead", o.attached(), names)
	equal(t, "left in tc", tc.names(), []string{})
	o.Close()

	cfg.AttachMode = loader.AttachClsact
	o = l.open(cfg)
	equal(t, "attached by clsact again", tc.names(), names)
	for _, f := range l.files() {
		if strings.HasPrefix(f, "links/") && strings.Contains(f, "-") {
			t.Errorf("pin %s is left", f)
		}
	}
	o.Close()
	if err := loader.Uninstall(loader.UninstallConfig{PinDir: l.pins, Clsact: tc}); err != nil {
		t.Fatal(err)
	}
	equal(t, "left in tc after uninstall", tc.names(), []string{})
}

// A program set that lost a pin while no daemon ran is loaded again; until the links have left it, it keeps its tail calls.
func TestDamagedProgramSet(t *testing.T) {
	l := newLab(t)
	want, names := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	id, files := o.SetID(), l.files()
	o.Close()
	if err := os.Remove(filepath.Join(maps.Paths{Root: l.pins}.ProgramSet(id), bpf.VethwayProgVwNewFlow)); err != nil {
		t.Fatal(err)
	}
	o = l.open(l.config())
	if o.SetID() == id {
		t.Error("the damaged set was adopted")
	}
	equal(t, "attached", o.attached(), names)
	o.Close()
	o = l.open(l.config())
	if o.SetID() != id {
		t.Errorf("set %s, want %s", o.SetID(), id)
	}
	equal(t, "attached", o.attached(), names)
	equal(t, "pins", l.files(), files)
}
