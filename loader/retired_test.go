// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// oldPins are maps as daemons before this one pinned them: one that is no more, one of another layout.
func (l *lab) oldPins(t *testing.T) []string {
	t.Helper()
	dir := maps.Paths{Root: l.pins}.Maps()
	for name, spec := range map[string]*ebpf.MapSpec{
		"flows_v1":     {Type: ebpf.Hash, KeySize: 40, ValueSize: 168, MaxEntries: 16, Flags: 1},
		"shortcuts_v1": {Type: ebpf.Array, KeySize: 4, ValueSize: 64, MaxEntries: 1 << 15},
	} {
		pinMap(t, filepath.Join(dir, name), spec)
	}
	return []string{"maps/flows_v1", "maps/shortcuts_v1"}
}

func (l *lab) has(pin string) bool { return slices.Contains(l.files(), pin) }

// An upgrade keeps maps of older layouts while older programs are attached, and removes them after.
func TestOldMapsGoWithTheirPrograms(t *testing.T) {
	l := newLab(t)
	want, names := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	files := l.files()
	o.Close()
	old := l.oldPins(t)

	cfg := l.config()
	cfg.AttachMode, cfg.Clsact = loader.AttachClsact, &fakeClsact{failing: errors.New("no")}
	if err := l.ns.Do(func() error { _, err := loader.Open(t.Context(), cfg); return err }); err == nil {
		t.Fatal("it did not fail")
	}
	for _, pin := range old {
		if !l.has(pin) {
			t.Errorf("%s went before its programs did", pin)
		}
	}
	o = l.open(l.config())
	equal(t, "attached", o.attached(), names)
	equal(t, "pins", l.files(), files)
}

// A map of another layout begins empty: what an older daemon wrote says less.
func TestOldShortcutsAreNotRead(t *testing.T) {
	l := newLab(t)
	l.oldPins(t)
	paths := maps.Paths{Root: l.pins}
	old, err := ebpf.LoadPinnedMap(filepath.Join(paths.Maps(), "shortcuts_v1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := old.Put(uint32(7), bpf.VethwayShortcutValue{Kind: 1, Ifindex: 3, Addr: bpf.VethwayAddr{B: [16]byte{15: 1}}}); err != nil {
		t.Fatal(err)
	}
	o := l.open(l.config())
	if have, err := o.Maps().Shortcuts.Load(); err != nil || len(have) != 0 {
		t.Errorf("shortcuts of the older daemon: %v, %v", have, err)
	}
}

func TestUninstallRemovesOldMaps(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	l.oldPins(t)
	if err := loader.Uninstall(loader.UninstallConfig{PinDir: l.pins}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.pins); err == nil {
		t.Errorf("left: %q", l.files())
	}
}

// A newer daemon's maps are its own.
func TestNewerMapsStay(t *testing.T) {
	l := newLab(t)
	newer := filepath.Join(maps.Paths{Root: l.pins}.Maps(), bpf.VethwayMapPublished+"_v99")
	pinMap(t, newer, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	l.open(l.config())
	if !l.has("maps/" + filepath.Base(newer)) {
		t.Errorf("%s is gone", newer)
	}
}
