// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

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

// pinMap makes a map and pins it.
func pinMap(t *testing.T, path string, spec *ebpf.MapSpec) {
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

func TestForeignPins(t *testing.T) {
	behaviour.NeedRoot(t)
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
			pinMap(t, at, array)
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

// Tables that are made have the size that is wanted, those that are there keep their own, and the log says so.
func TestFlowTablesKeepTheirSize(t *testing.T) {
	l := newLab(t)
	o := l.open(l.config())
	sizes := func() [3]int {
		m := o.Maps()
		return [3]int{m.Flows.IPv4.Capacity(), m.Flows.IPv6.Capacity(), m.Bindings.Capacity()}
	}
	if got := sizes(); got != [3]int{4096, 4096, 2048} {
		t.Errorf("new tables of flows and bindings hold %d, want 4096, 4096 and 2048", got)
	}
	o.Close()
	var log strings.Builder
	cfg := l.config()
	cfg.FlowEntries, cfg.Logger = 1<<20, slog.New(slog.NewTextHandler(&log, nil))
	o = l.open(cfg)
	if got := sizes(); got != [3]int{4096, 4096, 2048} {
		t.Errorf("the tables of flows and bindings hold %d, want 4096, 4096 and 2048", got)
	}
	for _, want := range []string{
		"table=flows4 entries=4096 wanted=1048576", "table=flows6 entries=4096 wanted=1048576", "table=bindings entries=2048 wanted=524288",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
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
