// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/link"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/loader/loadertest"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// TestClsactForReal attaches by tc, through the same code as the daemon: here is the first package that may know both.
func TestClsactForReal(t *testing.T) {
	pins := loadertest.BPFFS(t)
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: "clsact"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	var want []loader.Interface
	for name, kind := range map[string]loader.Kind{"br0": loader.Bridge, "up0": loader.Ethernet, "veth0": loader.Veth} {
		if err := ns.AddBridge(name); err != nil {
			t.Fatal(err)
		}
		l, err := ns.Link(name)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, loader.Interface{Index: l.Index, Kind: kind})
	}
	links, err := link.New(link.Config{Namespace: ns.Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { links.Close() })
	tc := loader.AdaptClsact(links)
	open := func(mode loader.AttachMode, lastPort uint16) []string {
		t.Helper()
		var attached []string
		err := ns.Do(func() error {
			ld, err := loader.Open(t.Context(), loader.Config{
				PinDir: pins, AttachMode: mode, Clsact: tc, PoolFirst: 1024, PoolLast: lastPort, FlowEntries: 4096,
				Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
			})
			if err != nil {
				return err
			}
			defer ld.Close()
			if err := ld.Attach(want); err != nil {
				return err
			}
			repaired, err := ld.Verify()
			if err != nil || len(repaired) != 0 {
				t.Errorf("just attached, and repaired %q, %v", repaired, err)
			}
			all, err := ld.List()
			for _, a := range all {
				if !a.Attached || a.Mode != mode {
					t.Errorf("%+v", a)
				}
				attached = append(attached, a.Program)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(attached)
		return attached
	}
	all := []string{"vw_from_container", "vw_from_uplink", "vw_to_bridge", "vw_to_uplink"}
	for _, step := range []struct {
		mode     loader.AttachMode
		lastPort uint16
	}{
		{loader.AttachClsact, 2000}, {loader.AttachClsact, 3000}, {loader.AttachTCX, 3000}, {loader.AttachClsact, 3000},
	} {
		if step.mode == loader.AttachTCX {
			behaviour.NeedLinux(t, 6, 6, "tcx")
		}
		if got := open(step.mode, step.lastPort); !slices.Equal(got, all) {
			t.Errorf("attached by %s: %q, want %q", step.mode, got, all)
		}
		filters, err := tc.ListClsact()
		if err != nil || len(filters) != map[loader.AttachMode]int{loader.AttachClsact: 4}[step.mode] {
			t.Errorf("filters after attaching by %s: %+v, %v", step.mode, filters, err)
		}
	}
	if err := loader.Uninstall(loader.UninstallConfig{PinDir: pins, Clsact: tc}); err != nil {
		t.Fatal(err)
	}
	for _, hook := range []string{"ingress", "egress"} {
		for _, name := range []string{"br0", "up0", "veth0"} {
			out, err := ns.Run(t.Context(), "tc", "filter", "show", "dev", name, hook)
			if err == nil && strings.Contains(out, "vw_") {
				t.Errorf("left on %s: %s", name, out)
			}
		}
	}
}
