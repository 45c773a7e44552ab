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

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// fullHost attaches one of each kind, and says how the links are called.
func (l *lab) fullHost() (want []loader.Interface, names []string) {
	l.t.Helper()
	br := l.bridge("br0")
	peer := l.namespace("container")
	if err := l.ns.AddVeth("veth0", peer, "eth0"); err != nil {
		l.t.Fatal(err)
	}
	if err := l.ns.AddVeth("up0", peer, "up1"); err != nil {
		l.t.Fatal(err)
	}
	tun, err := l.ns.AddTun("tun0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { tun.Close() })
	veth, up, tunIndex := l.index("veth0"), l.index("up0"), l.index("tun0")
	want = []loader.Interface{
		{Index: br, Kind: loader.Bridge}, {Index: veth, Kind: loader.Veth},
		{Index: up, Kind: loader.Ethernet}, {Index: tunIndex, Kind: loader.Tun},
	}
	names = []string{
		fmt.Sprintf("vw_from_container-%d", veth), fmt.Sprintf("vw_from_tun-%d", tunIndex), fmt.Sprintf("vw_from_uplink-%d", up),
		fmt.Sprintf("vw_to_bridge-%d", br), fmt.Sprintf("vw_to_tun-%d", tunIndex), fmt.Sprintf("vw_to_uplink-%d", up),
	}
	slices.Sort(names)
	return want, names
}

func TestAttachAndDetach(t *testing.T) {
	l := newLab(t)
	want, names := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	equal(t, "attached", o.attached(), names)
	links := l.linkIDs()
	o.attach(want...)
	equal(t, "attached by a second call", o.attached(), names)
	if again := l.linkIDs(); fmt.Sprint(again) != fmt.Sprint(links) {
		t.Errorf("a second call made other links: %v, then %v", links, again)
	}
	o.attach(want[0])
	equal(t, "attached to the bridge alone", o.attached(), []string{filepath.Base(maps.Paths{}.Link(bpf.VethwayProgVwToBridge, want[0].Index))})
	o.attach()
	equal(t, "attached in the end", o.attached(), []string{})
	for _, f := range l.files() {
		if strings.HasPrefix(f, "links/") && strings.Contains(f, "-") {
			t.Errorf("pin %s is left", f)
		}
	}
}

func TestAdoptAfterStop(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	want, names := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	files, links, id := l.files(), l.linkIDs(), o.SetID()
	o.Close()

	o = l.open(l.config())
	if o.SetID() != id {
		t.Errorf("the same programs were loaded again: %s, then %s", id, o.SetID())
	}
	equal(t, "attached", o.attached(), names)
	equal(t, "pins", l.files(), files)
	if again := l.linkIDs(); fmt.Sprint(again) != fmt.Sprint(links) {
		t.Errorf("adoption made other links: %v, then %v", links, again)
	}
}

func TestUpgradeInPlace(t *testing.T) {
	l := newLab(t)
	want, names := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	links, id := l.linkIDs(), o.SetID()
	before := programs(t, o)
	o.Close()

	cfg := l.config()
	cfg.PoolFirst, cfg.PoolLast = 2000, 3000
	o = l.open(cfg)
	if o.SetID() == id {
		t.Error("other constants did not make another program set")
	}
	equal(t, "attached", o.attached(), names)
	if again := l.linkIDs(); fmt.Sprint(again) != fmt.Sprint(links) {
		t.Errorf("the upgrade made other links: %v, then %v", links, again)
	}
	for name, prog := range programs(t, o) {
		if before[name] == prog {
			t.Errorf("%s still runs the old program", name)
		}
	}
	sets, err := os.ReadDir(maps.Paths{Root: l.pins}.Programs())
	if err != nil || len(sets) != 1 || sets[0].Name() != o.SetID() {
		t.Errorf("program sets after the upgrade: %v, %v", sets, err)
	}
	// The table of tail calls lives with its set: the kernel empties it when nobody holds it.
	calls, err := ebpf.LoadPinnedMap(filepath.Join(maps.Paths{Root: l.pins}.ProgramSet(o.SetID()), bpf.VethwayMapCalls), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer calls.Close()
	var prog uint32
	if err := calls.Lookup(uint32(0), &prog); err != nil || prog == 0 {
		t.Errorf("the first tail call: program %d, %v", prog, err)
	}
}

func TestFailedUpgradeLeavesTheOld(t *testing.T) {
	l := newLab(t)
	want, names := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	before, id := programs(t, o), o.SetID()
	o.Close()

	cfg := l.config()
	cfg.PoolFirst, cfg.PoolLast = 2000, 3000
	cfg.AttachMode, cfg.Clsact = loader.AttachClsact, &fakeClsact{failing: errors.New("no")}
	if err := l.ns.Do(func() error { _, err := loader.Open(t.Context(), cfg); return err }); err == nil {
		t.Fatal("it did not fail")
	}
	o = l.open(l.config())
	if o.SetID() != id {
		t.Errorf("the old program set is gone: %s, then %s", id, o.SetID())
	}
	equal(t, "attached", o.attached(), names)
	for name, prog := range programs(t, o) {
		if before[name] != prog {
			t.Errorf("%s ran program %d, runs %d", name, before[name], prog)
		}
	}
}
