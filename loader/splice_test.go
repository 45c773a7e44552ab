// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// spliceHooks are the links that are there for splicing alone.
func (l *lab) spliceHooks() []string {
	var hooks []string
	for _, f := range l.files() {
		if f == "links/"+bpf.VethwayProgVwSpliceBound || f == "links/"+bpf.VethwayProgVwSpliceClose || f == "links/"+bpf.VethwayProgVwSpliceOption {
			hooks = append(hooks, f)
		}
	}
	return hooks
}

// What only splicing needs is attached while somebody asks for it, or something is spliced, whoever runs the daemon.
func TestSpliceHooksComeAndGo(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	o := l.open(l.config())
	want := func(what string, n int) {
		t.Helper()
		if got := l.spliceHooks(); len(got) != n {
			t.Errorf("%s: %v, want %d", what, got, n)
		}
	}
	splice := func(o *running, on bool) {
		t.Helper()
		if err := o.Splice(on); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", 0)
	splice(o, true)
	want("asked for", 3)
	o.Close()
	o = l.open(l.config())
	want("after a restart", 3)
	end := maps.SpliceKey{Local: netip.MustParseAddrPort("10.0.0.1:1"), Remote: netip.MustParseAddrPort("10.0.0.2:2")}
	if err := o.Maps().Splices.Update([]maps.Entry[maps.SpliceKey, maps.Splice]{{Key: end}}); err != nil {
		t.Fatal(err)
	}
	splice(o, false)
	want("while a connection is spliced", 3)
	if err := o.Maps().Splices.Delete([]maps.SpliceKey{end}); err != nil {
		t.Fatal(err)
	}
	splice(o, false)
	want("when all is over", 0)
}

// Without a cgroup nothing is spliced, and all else works.
func TestNoSpliceWithoutCgroup(t *testing.T) {
	behaviour.NeedRoot(t)
	l := newLab(t)
	cfg := l.config()
	cfg.CgroupPath = ""
	o := l.open(cfg)
	if err := o.Splice(true); !errors.Is(err, loader.ErrNoSplice) {
		t.Errorf("splicing without a cgroup ends with %v", err)
	}
	if err := o.Splice(false); err != nil {
		t.Error(err)
	}
	if slices.Contains(o.Features().Names(), "splice") {
		t.Error("it is said to be supported")
	}
}
