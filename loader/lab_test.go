// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	stdmaps "maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

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
	l.ns = l.namespace("loader")
	return l
}

func (l *lab) config() loader.Config {
	return loader.Config{
		PinDir: l.pins, CgroupPath: l.cgroup, NetnsCookie: l.ns.Cookie(), FlowEntries: 4096,
		Logger: slog.New(slog.NewTextHandler(l.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// open opens a loader that is closed with the test, if not before.
func (l *lab) open(cfg loader.Config) *running {
	l.t.Helper()
	var ld *loader.Loader
	err := l.ns.Do(func() (err error) {
		ld, err = loader.Open(l.t.Context(), cfg)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	o := &running{lab: l, Loader: ld}
	l.t.Cleanup(o.Close)
	return o
}

// running is a loader whose methods work inside the lab's namespace and must not fail.
type running struct {
	*loader.Loader
	lab    *lab
	closed bool
}

func (o *running) Close() {
	if o.closed {
		return
	}
	o.closed = true
	if err := o.Loader.Close(); err != nil {
		o.lab.t.Error(err)
	}
}

func (o *running) attach(want ...loader.Interface) {
	o.lab.t.Helper()
	if err := o.lab.ns.Do(func() error { return o.Loader.Attach(want) }); err != nil {
		o.lab.t.Fatal(err)
	}
}

func (o *running) verify() []string {
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
func (o *running) attached() []string {
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

// namespace makes one more namespace.
func (l *lab) namespace(name string) *netlab.Namespace {
	l.t.Helper()
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: name})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return ns
}

// linkIDs is the number of each pinned link.
func (l *lab) linkIDs() map[string]link.ID {
	l.t.Helper()
	ids := make(map[string]link.ID)
	for _, f := range l.files() {
		base, ok := strings.CutPrefix(f, "links/")
		if !ok {
			continue
		}
		ln, err := link.LoadPinnedLink(filepath.Join(l.pins, f), nil)
		if err != nil {
			l.t.Fatal(err)
		}
		info, err := ln.Info()
		if err := errors.Join(err, ln.Close()); err != nil {
			l.t.Fatal(err)
		}
		ids[base] = info.ID
	}
	return ids
}

// programs is the number of the program that each attachment runs.
func programs(t testing.TB, o *running) map[string]uint32 {
	t.Helper()
	all, err := o.List()
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]uint32)
	for _, a := range all {
		ids[filepath.Base(maps.Paths{}.Link(a.Program, a.Index))] = a.ProgramID
	}
	return ids
}

// fakeClsact remembers what would be attached.
type fakeClsact struct {
	filters map[string]loader.ClsactFilter
	failing error
}

func (c *fakeClsact) AttachClsact(ifindex int, ingress bool, progFD int, name string, prio uint16) error {
	fd, err := unix.Dup(progFD)
	if err != nil {
		return err
	}
	prog, err := ebpf.NewProgramFromFD(fd)
	if err != nil {
		return err
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return err
	}
	id, _ := info.ID()
	c.filters[filepath.Base(maps.Paths{}.Link(name, ifindex))] = loader.ClsactFilter{
		Ifindex: ifindex, Ingress: ingress, Name: name, Priority: prio, ProgramID: uint32(id),
	}
	return nil
}

func (c *fakeClsact) DetachClsact(ifindex int, _ bool, name string, _ uint16) error {
	delete(c.filters, filepath.Base(maps.Paths{}.Link(name, ifindex)))
	return nil
}

func (c *fakeClsact) ListClsact() ([]loader.ClsactFilter, error) {
	return slices.Collect(stdmaps.Values(c.filters)), c.failing
}

func (c *fakeClsact) names() []string { return slices.Sorted(stdmaps.Keys(c.filters)) }
