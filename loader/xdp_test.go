// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
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

// veth makes an interface whose driver runs XDP.
func (l *lab) veth(name string) int {
	l.t.Helper()
	if err := l.ns.AddVeth(name, l.namespace("peer"), "peer"); err != nil {
		l.t.Fatal(err)
	}
	return l.index(name)
}

// guards lists where something is dropped early: MODE PROGRAM-IFINDEX.
func (o *running) guards() []string {
	o.lab.t.Helper()
	all, err := o.List()
	if err != nil {
		o.lab.t.Fatal(err)
	}
	names := []string{}
	for _, a := range all {
		if a.Attached && (a.Mode == loader.AttachXDP || a.Mode == loader.AttachXDPGeneric || strings.HasPrefix(a.Program, bpf.VethwayProgVwGuard)) {
			names = append(names, fmt.Sprintf("%s %s-%d", a.Mode, a.Program, a.Index))
		}
	}
	slices.Sort(names)
	return names
}

// xdpOf is what the kernel says of an interface.
func (l *lab) xdpOf(name string) string {
	l.t.Helper()
	out, err := l.ns.Run(l.t.Context(), "ip", "link", "show", name)
	if err != nil {
		l.t.Fatal(err)
	}
	switch {
	case strings.Contains(out, " xdpgeneric "):
		return "generic"
	case strings.Contains(out, " xdp "):
		return "native"
	}
	return ""
}

func TestXDPOnUplinks(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	up, br := l.veth("up0"), l.bridge("br0")
	o := l.open(l.config())
	native := loader.Interface{Index: up, Kind: loader.Ethernet, Guard: loader.GuardXDP}
	// A bridge stands for an interface without a driver of its own that leads out of the host.
	refused := loader.Interface{Index: br, Kind: loader.Ethernet, Guard: loader.GuardXDP}
	onUp, onBridge := fmt.Sprintf("xdp vw_xdp-%d", up), fmt.Sprintf("tcx vw_guard-%d", br)
	for range 2 {
		o.attach(native, refused)
		equal(t, "native, and refused", o.guards(), sorted(onUp, onBridge))
	}
	if got := l.xdpOf("up0"); got != "native" {
		t.Errorf("up0 runs XDP %q, want native", got)
	}

	generic := native
	generic.Guard = loader.GuardXDPGeneric
	o.attach(generic, refused)
	equal(t, "generic", o.guards(), sorted(fmt.Sprintf("xdp-generic vw_xdp_generic-%d", up), onBridge))
	if got := l.xdpOf("up0"); got != "generic" {
		t.Errorf("up0 runs XDP %q, want generic", got)
	}
	o.attach(native)
	equal(t, "native again", o.guards(), []string{onUp})

	late := native
	late.Guard = loader.GuardTC
	o.attach(late)
	equal(t, "by tc", o.guards(), []string{fmt.Sprintf("tcx vw_guard-%d", up)})
	late.Guard = loader.NoGuard
	o.attach(late)
	equal(t, "none", o.guards(), []string{})
	if got := l.xdpOf("up0"); got != "" {
		t.Errorf("up0 still runs XDP: %s", got)
	}
	for _, f := range l.files() {
		if strings.HasPrefix(f, "links/vw_xdp") || strings.HasPrefix(f, "links/vw_guard") {
			t.Errorf("pin %s is left", f)
		}
	}
}

func sorted(s ...string) []string {
	slices.Sort(s)
	return s
}

// Somebody else's program stays, and what is not to come in is dropped behind it.
func TestXDPLeavesOthersAlone(t *testing.T) {
	l := newLab(t)
	up := l.veth("up0")
	spec, err := bpf.LoadVethway()
	if err != nil {
		t.Fatal(err)
	}
	other, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL", Name: "theirs", Instructions: spec.Programs[bpf.VethwayProgVwDefragment].Instructions,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var theirs link.Link
	err = l.ns.Do(func() (err error) {
		theirs, err = link.AttachXDP(link.XDPOptions{Program: other, Interface: up, Flags: link.XDPDriverMode})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	o := l.open(l.config())
	o.attach(loader.Interface{Index: up, Kind: loader.Ethernet, Guard: loader.GuardXDP})
	equal(t, "behind theirs", o.guards(), []string{fmt.Sprintf("tcx vw_guard-%d", up)})
	info, err := theirs.Info()
	if err != nil || info.XDP().Ifindex != uint32(up) {
		t.Errorf("theirs is gone: %+v, %v", info, err)
	}
}

func TestXDPAdoptedAndUpgraded(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	want := []loader.Interface{
		{Index: l.veth("up0"), Kind: loader.Ethernet, Guard: loader.GuardXDP},
		{Index: l.veth("up1"), Kind: loader.Ethernet, Guard: loader.GuardXDPGeneric},
		{Index: l.veth("up2"), Kind: loader.Ethernet, Guard: loader.GuardTC},
	}
	o := l.open(l.config())
	o.attach(want...)
	guards, links, before := o.guards(), l.linkIDs(), programs(t, o)
	o.Close()
	o = l.open(l.config())
	equal(t, "adopted", o.guards(), guards)
	o.attach(want...)
	if again := l.linkIDs(); fmt.Sprint(again) != fmt.Sprint(links) {
		t.Errorf("adoption made other links: %v, then %v", links, again)
	}
	o.Close()

	cfg := l.config()
	cfg.PoolFirst, cfg.PoolLast = 2000, 3000
	o = l.open(cfg)
	equal(t, "upgraded", o.guards(), guards)
	if again := l.linkIDs(); fmt.Sprint(again) != fmt.Sprint(links) {
		t.Errorf("the upgrade made other links: %v, then %v", links, again)
	}
	for name, prog := range programs(t, o) {
		if before[name] == prog {
			t.Errorf("%s still runs the old program", name)
		}
	}
	if err := l.ns.DeleteLink("up0"); err != nil {
		t.Fatal(err)
	}
	o.Close()
	o = l.open(cfg)
	first := fmt.Sprintf("xdp vw_xdp-%d", want[0].Index)
	equal(t, "after up0 went", o.guards(), slices.DeleteFunc(guards, func(s string) bool { return s == first }))
}

func TestXDPPutBack(t *testing.T) {
	l := newLab(t)
	up := l.veth("up0")
	o := l.open(l.config())
	o.attach(loader.Interface{Index: up, Kind: loader.Ethernet, Guard: loader.GuardXDP})
	path := maps.Paths{Root: l.pins}.Link(bpf.VethwayProgVwXdp, up)
	ln, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ln.Detach(), ln.Close()); err != nil {
		t.Fatal(err)
	}
	equal(t, "repaired", o.verify(), []string{fmt.Sprintf("vw_xdp on interface %d", up)})
	if ln, err = link.LoadPinnedLink(path, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ln.Unpin(), ln.Close()); err != nil {
		t.Fatal(err)
	}
	equal(t, "repaired", o.verify(), []string{path})
	equal(t, "repaired although nothing is wrong", o.verify(), []string{})
}

// What the guard drops, the uplink's program must not have taken before: whichever of the two came first.
func TestGuardStandsInFront(t *testing.T) {
	l := newLab(t)
	up := loader.Interface{Index: l.veth("up0"), Kind: loader.Ethernet}
	guarded := up
	guarded.Guard = loader.GuardTC
	o := l.open(l.config())
	o.attach(up)
	o.attach(guarded)
	inOrder := func(when string) {
		t.Helper()
		var names []string
		err := l.ns.Do(func() error {
			found, err := link.QueryPrograms(link.QueryOptions{Target: up.Index, Attach: ebpf.AttachTCXIngress})
			if err != nil {
				return err
			}
			for _, p := range found.Programs {
				prog, err := ebpf.NewProgramFromID(p.ID)
				if err != nil {
					return err
				}
				names = append(names, strings.SplitN(prog.String(), "(", 3)[1])
				prog.Close()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(names) != 2 || !strings.HasPrefix(names[0], "vw_guard") || !strings.HasPrefix(names[1], "vw_from_uplink") {
			t.Errorf("%s: %q", when, names)
		}
	}
	inOrder("the guard came later")
	ln, err := link.LoadPinnedLink(maps.Paths{Root: l.pins}.Link(bpf.VethwayProgVwFromUplink, up.Index), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ln.Detach(), ln.Close()); err != nil {
		t.Fatal(err)
	}
	if repaired := o.verify(); len(repaired) != 1 {
		t.Errorf("repaired %q", repaired)
	}
	inOrder("the uplink's program came later")
}

func TestGuardByClsactStandsInFront(t *testing.T) {
	l := newLab(t)
	up := loader.Interface{Index: l.veth("up0"), Kind: loader.Ethernet, Guard: loader.GuardTC}
	cfg := l.config()
	tc := &fakeClsact{filters: map[string]loader.ClsactFilter{}}
	cfg.AttachMode, cfg.Clsact = loader.AttachClsact, tc
	o := l.open(cfg)
	o.attach(up)
	guard, other := tc.filters[fmt.Sprintf("vw_guard-%d", up.Index)], tc.filters[fmt.Sprintf("vw_from_uplink-%d", up.Index)]
	if guard.Priority == 0 || guard.Priority >= other.Priority {
		t.Errorf("priorities %d and %d", guard.Priority, other.Priority)
	}
}

func TestXDPUninstalled(t *testing.T) {
	l := newLab(t)
	up := l.veth("up0")
	o := l.open(l.config())
	o.attach(loader.Interface{Index: up, Kind: loader.Ethernet, Guard: loader.GuardXDP})
	o.Close()
	if err := loader.Uninstall(loader.UninstallConfig{PinDir: l.pins}); err != nil {
		t.Fatal(err)
	}
	if got := l.xdpOf("up0"); got != "" {
		t.Errorf("up0 still runs XDP: %s", got)
	}
}
