// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

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
		ln, err := link.LoadPinnedLink(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(ln.Detach(), ln.Close()); err != nil {
			t.Fatal(err)
		}
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

func TestUninstallLeavesNothing(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	want, _ := l.fullHost()
	o := l.open(l.config())
	o.attach(want...)
	ids := l.linkIDs()
	// A descriptor that somebody still holds must not keep a program attached.
	held, err := link.LoadPinnedLink(filepath.Join(maps.Paths{Root: l.pins}.Links(), o.attached()[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	o.Close()
	for range 2 {
		if err := loader.Uninstall(loader.UninstallConfig{PinDir: l.pins}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(l.pins); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v %q", err, l.files())
	}
	info, err := held.Info()
	if err != nil || info.TCX().Ifindex != 0 {
		t.Errorf("a link is still attached: %+v, %v", info, err)
	}
	for name, id := range ids {
		if id == info.ID {
			continue
		}
		if ln, err := link.NewFromID(id); err == nil {
			t.Errorf("link %s lives on", name)
			ln.Close()
		}
	}
}

func TestForeignPins(t *testing.T) {
	behaviour.NeedRoot(t)
	foreign := func(t *testing.T, path string, spec *ebpf.MapSpec) {
		t.Helper()
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), m.Pin(path)); err != nil {
			t.Fatal(err)
		}
	}
	array := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	for name, path := range map[string]func(maps.Paths) string{
		"another layout": func(p maps.Paths) string { return p.Map(bpf.VethwayMapPublished) },
		"unknown map":    func(p maps.Paths) string { return filepath.Join(p.Maps(), "their_map") },
		"unknown link":   func(p maps.Paths) string { return filepath.Join(p.Links(), "theirs") },
		"not a link":     func(p maps.Paths) string { return p.Link(bpf.VethwayProgVwToBridge, 3) },
		"unknown file":   func(p maps.Paths) string { return filepath.Join(p.Root, "theirs") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			at := path(maps.Paths{Root: l.pins})
			foreign(t, at, array)
			_, err := loader.Open(t.Context(), l.config())
			if !errors.Is(err, loader.ErrForeignPin) || !strings.Contains(err.Error(), at) {
				t.Errorf("opened beside %s: %v", at, err)
			}
			if _, err := os.Lstat(at); err != nil {
				t.Errorf("the foreign pin is gone: %v", err)
			}
		})
	}
}

func TestFlowTableKeepsItsSize(t *testing.T) {
	l := newLab(t)
	l.open(l.config()).Close()
	cfg := l.config()
	cfg.FlowEntries = 1 << 20
	o := l.open(cfg)
	if got := o.Maps().Flows.Capacity(); got != 4096 {
		t.Errorf("the flow table holds %d entries, want 4096", got)
	}
}

func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]loader.Config{
		"relative path": {PinDir: "x"},
		"mode":          {PinDir: "/x", AttachMode: "xdp"},
		"no clsact":     {PinDir: "/x", AttachMode: loader.AttachClsact},
		"ports":         {PinDir: "/x", PoolFirst: 2, PoolLast: 1},
	} {
		if _, err := loader.Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
