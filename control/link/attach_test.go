// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"sync"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// TestConcurrentAttach attaches to two networks at once, and one container to both.
func TestConcurrentAttach(t *testing.T) {
	l := newLab(t)
	second := bridgeSpec()
	second.Name, second.MAC, second.Addrs = "vw-second", mac(100), nil
	l.bridge(bridgeSpec())
	l.bridge(second)
	shared := newNamespace(t, "shared")
	var specs []control.EndpointSpec
	for n := range byte(8) {
		one, two := endpointSpec(newNamespace(t, fmt.Sprint("c", n)), 2+n), endpointSpec(shared, 50+n)
		two.Bridge = second.Name
		specs = append(specs, one, two)
	}
	var wait sync.WaitGroup
	errs := make([]error, len(specs))
	for i, e := range specs {
		wait.Go(func() {
			if _, errs[i] = l.EnsureEndpoint(t.Context(), e); errs[i] == nil {
				errs[i] = l.ActivateEndpoint(t.Context(), e)
			}
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("%s: %v", specs[i].HostName, err)
		}
	}
	for n := range 8 {
		l.want(shared, "ip link", fmt.Sprintf("eth%d@", n))
	}
}

// BenchmarkAttach attaches, gives routes to and detaches one container of many on a bridge.
func BenchmarkAttach(b *testing.B) {
	behaviour.NeedRoot(b)
	host, ns := benchNamespace(b, "host"), benchNamespace(b, "c")
	l, err := New(Config{Namespace: host.Path()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if _, err := l.EnsureBridge(b.Context(), bridgeSpec()); err != nil {
		b.Fatal(err)
	}
	attach := func(ns *netlab.Namespace, n byte) control.EndpointSpec {
		e := endpointSpec(ns, n)
		info, err := l.EnsureEndpoint(b.Context(), e)
		if err == nil {
			err = l.ActivateEndpoint(b.Context(), e)
		}
		if err == nil {
			err = l.SetDefaultRoutes(b.Context(), e.Namespace, defaultRoutes(info.ContainerName))
		}
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	for n := range byte(99) {
		attach(benchNamespace(b, fmt.Sprint("c", n)), 2+n)
	}
	for b.Loop() {
		e := attach(ns, 200)
		b.StopTimer()
		if err := l.RemoveEndpoint(b.Context(), e); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func benchNamespace(b *testing.B, name string) *netlab.Namespace {
	b.Helper()
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: name})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ns.Close() })
	return ns
}

// BenchmarkReconcile ensures an endpoint that is as it should be.
func BenchmarkReconcile(b *testing.B) {
	behaviour.NeedRoot(b)
	host, ns := benchNamespace(b, "host"), benchNamespace(b, "c")
	l, err := New(Config{Namespace: host.Path()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e := endpointSpec(ns, 2)
	for b.Loop() {
		_, err := l.EnsureBridge(b.Context(), bridgeSpec())
		if err == nil {
			_, err = l.EnsureEndpoint(b.Context(), e)
		}
		if err == nil {
			err = l.ActivateEndpoint(b.Context(), e)
		}
		if err == nil {
			err = l.SetDefaultRoutes(b.Context(), e.Namespace, defaultRoutes("eth0"))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
