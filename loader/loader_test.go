// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/loader/loadertest"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/netlab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(netlab.CheckLeaks(), loadertest.Leaks()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// lab is a host of its own.
type lab struct {
	t      testing.TB
	ns     *netlab.Namespace
	pins   string
	cgroup string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, pins: loadertest.BPFFS(t), cgroup: loadertest.Cgroup(t)}
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: "loader"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	l.ns = ns
	return l
}

func (l *lab) config() loader.Config {
	return loader.Config{
		PinDir: l.pins, CgroupPath: l.cgroup, NetnsCookie: l.ns.Cookie(), FlowEntries: 4096,
		Logger: slog.New(slog.NewTextHandler(l.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// open opens a loader that is closed with the test, if not before.
func (l *lab) open(cfg loader.Config) *lab2 {
	l.t.Helper()
	var ld *loader.Loader
	err := l.ns.Do(func() (err error) {
		ld, err = loader.Open(l.t.Context(), cfg)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	o := &lab2{lab: l, Loader: ld}
	l.t.Cleanup(o.Close)
	return o
}

// lab2 is a running loader whose methods work inside the lab's namespace and must not fail.
type lab2 struct {
	*loader.Loader
	lab    *lab
	closed bool
}

func (o *lab2) Close() {
	if o.closed {
		return
	}
	o.closed = true
	if err := o.Loader.Close(); err != nil {
		o.lab.t.Error(err)
	}
}

func (o *lab2) attach(want ...loader.Interface) {
	o.lab.t.Helper()
	if err := o.lab.ns.Do(func() error { return o.Loader.Attach(want) }); err != nil {
		o.lab.t.Fatal(err)
	}
}

func (o *lab2) verify() []string {
	o.lab.t.Helper()
	var repaired []string
	err := o.lab.ns.Do(func() (err error) {
		repaired, err = o.Loader.Verify()
		return err
	})
	if err != nil {
		o.lab.t.Fatal(err)
	}
	return repaired
}

// attached lists what is attached to interfaces, such as vw_to_bridge-3.
func (o *lab2) attached() []string {
	o.lab.t.Helper()
	all, err := o.List()
	if err != nil {
		o.lab.t.Fatal(err)
	}
	names := []string{}
	for _, a := range all {
		if a.Index != 0 && a.Attached {
			names = append(names, filepath.Base(maps.Paths{}.Link(a.Program, a.Index)))
		}
	}
	slices.Sort(names)
	return names
}

func (l *lab) bridge(name string) int {
	l.t.Helper()
	if err := l.ns.AddBridge(name); err != nil {
		l.t.Fatal(err)
	}
	return l.index(name)
}

func (l *lab) index(name string) int {
	l.t.Helper()
	link, err := l.ns.Link(name)
	if err != nil {
		l.t.Fatal(err)
	}
	return link.Index
}

// files lists what is below the pin directory.
func (l *lab) files() []string {
	l.t.Helper()
	var files []string
	err := filepath.WalkDir(l.pins, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(l.pins, path)
			files = append(files, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	return files
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestAttachAdoptUninstall(t *testing.T) {
	l := newLab(t)
	br := l.bridge("br0")
	o := l.open(l.config())
	t.Log(o.Features().Names(), o.Mode(), o.SetID())
	o.attach(loader.Interface{Index: br, Kind: loader.Bridge})
	equal(t, "attached", o.attached(), []string{fmt.Sprintf("vw_to_bridge-%d", br)})
	before := l.files()
	id := o.SetID()
	o.Close()

	again := l.open(l.config())
	if again.SetID() != id {
		t.Errorf("the same programs were loaded again: %s, then %s", id, again.SetID())
	}
	equal(t, "attached after adoption", again.attached(), []string{fmt.Sprintf("vw_to_bridge-%d", br)})
	equal(t, "pins after adoption", l.files(), before)
	again.Close()

	if err := loader.Uninstall(loader.UninstallConfig{PinDir: l.pins}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.pins); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left after uninstall: %v %q", err, l.files())
	}
}
