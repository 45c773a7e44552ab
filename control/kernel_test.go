// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/controltest"
	"github.com/vethway/vethway/control/link"
	"github.com/vethway/vethway/control/store"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// onKernel is an engine on real links and a real store, in a namespace of its own; only the packet programs are missing.
func onKernel(t testing.TB) (*control.Engine, *controltest.Dataplane) {
	t.Helper()
	behaviour.NeedRoot(t)
	host := namespace(t, "ctlhost")
	cutter := filepath.Join(t.TempDir(), "cutter")
	links, err := link.New(link.Config{Namespace: host.Path(), CutterFile: cutter})
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(store.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	faults := &controltest.Faults{}
	plane := controltest.NewDataplane(faults, controltest.NewLinks(faults))
	engine, err := control.New(context.Background(), control.Config{Links: links, Dataplane: plane, Store: db})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- engine.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for _, err := range []error{<-done, links.RemoveAll(context.Background()), db.Close(), links.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return engine, plane
}

func namespace(t testing.TB, name string) *netlab.Namespace {
	t.Helper()
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func attachTo(t testing.TB, engine *control.Engine, ns *netlab.Namespace, name string, networks ...string) {
	t.Helper()
	req := api.ContainerAttach{Name: name, Namespace: ns.Path()}
	for _, n := range networks {
		req.Networks = append(req.Networks, api.NetworkConnection{Network: n})
	}
	if _, err := engine.AttachContainer(context.Background(), req); err != nil {
		t.Fatal(err)
	}
}

// TestOnKernel attaches two containers to a real bridge, has them reach each other, and has one vanish.
func TestOnKernel(t *testing.T) {
	engine, plane := onKernel(t)
	ctx := context.Background()
	yes := true
	if _, err := engine.CreateNetwork(ctx, api.NetworkCreate{Name: "web", EnableIPv6: &yes}); err != nil {
		t.Fatal(err)
	}
	ns1, ns2 := namespace(t, "ctl1"), namespace(t, "ctl2")
	attachTo(t, engine, ns1, "c1", "web")
	attachTo(t, engine, ns2, "c2", "web")
	c2, err := engine.Container(ctx, "c2")
	if err != nil {
		t.Fatal(err)
	}
	ep := c2.NetworkSettings.Networks["web"]
	for _, addr := range []netip.Addr{ep.IPAddress, ep.GlobalIPv6Address} {
		if _, err := netlab.Ping(ctx, ns1, addr, netlab.PingOptions{}); err != nil {
			t.Errorf("ping %s: %v", addr, err)
		}
	}
	if err := ns2.Close(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		list, err := engine.Containers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 && len(plane.State().Endpoints) == 1 {
			break
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("the container whose namespace vanished is still there: %v", list)
		}
	}
	if err := engine.Reconcile(ctx); err != nil {
		t.Error(err)
	}
	if err := engine.DetachContainer(ctx, "c1"); err != nil {
		t.Error(err)
	}
	if err := engine.RemoveNetwork(ctx, "web"); err != nil {
		t.Error(err)
	}
}

// BenchmarkAttach attaches one container, beside those of the rounds before.
func BenchmarkAttach(b *testing.B) {
	engine, _ := onKernel(b)
	if _, err := engine.CreateNetwork(context.Background(), api.NetworkCreate{Name: "web"}); err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		b.StopTimer()
		i++
		ns := namespace(b, fmt.Sprintf("ctl%d", i))
		b.StartTimer()
		attachTo(b, engine, ns, fmt.Sprintf("c%d", i), "web")
	}
}
