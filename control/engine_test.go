// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/controltest"
	"github.com/vethway/vethway/control/ports"
)

// tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// world is an engine with everything around it.
type world struct {
	tb
	faults *controltest.Faults
	links  *controltest.Links
	plane  *controltest.Dataplane
	store  *controltest.Store
	engine *control.Engine
	config control.Config
}

func newWorld(t tb, change ...func(*control.Config)) *world {
	t.Helper()
	faults := &controltest.Faults{}
	links := controltest.NewLinks(faults)
	w := &world{
		tb: t, faults: faults, links: links, plane: controltest.NewDataplane(faults, links), store: controltest.NewStore(faults),
	}
	w.config = control.Config{Links: w.links, Dataplane: w.plane, Store: w.store}
	for _, c := range change {
		c(&w.config)
	}
	w.restart()
	return w
}

// restart forgets the engine and makes another of the store's contents.
func (w *world) restart() {
	w.Helper()
	engine, err := control.New(context.Background(), w.config)
	if err != nil {
		w.Fatal(err)
	}
	w.engine = engine
}

// fail has every call of an operation fail.
func (w *world) fail(ops ...string) {
	w.faults.Set(func(op string) controltest.Fault {
		for _, name := range ops {
			if name == op {
				return controltest.Fault{Err: errBroken}
			}
		}
		return controltest.Fault{}
	})
}

// slow has an operation wait until a channel is closed.
func (w *world) slow(slow string, until <-chan struct{}) {
	w.faults.Set(func(op string) controltest.Fault {
		if op == slow {
			<-until
		}
		return controltest.Fault{}
	})
}

var errBroken = errors.New("broken on purpose")

func (w *world) network(name string, change ...func(*api.NetworkCreate)) {
	w.Helper()
	req := api.NetworkCreate{Name: name}
	for _, c := range change {
		c(&req)
	}
	if _, err := w.engine.CreateNetwork(context.Background(), req); err != nil {
		w.Fatal(err)
	}
}

// attach attaches a namespace of the container's own name; "-p" arguments begin with a colon, networks do not.
func (w *world) attach(name string, args ...string) error {
	w.Helper()
	w.links.AddNamespace("/ns/" + name)
	req := api.ContainerAttach{Name: name, Namespace: "/ns/" + name}
	for _, arg := range args {
		if p, ok := strings.CutPrefix(arg, "-p "); ok {
			req.Publish = append(req.Publish, w.spec(p))
		} else {
			req.Networks = append(req.Networks, api.NetworkConnection{Network: arg})
		}
	}
	_, err := w.engine.AttachContainer(context.Background(), req)
	return err
}

func (w *world) mustAttach(name string, args ...string) {
	w.Helper()
	if err := w.attach(name, args...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) spec(s string) api.PublishSpec {
	w.Helper()
	spec, err := ports.Parse(s)
	if err != nil {
		w.Fatal(err)
	}
	return spec
}

func (w *world) publish(container string, specs ...string) ([]api.Port, error) {
	w.Helper()
	var req api.PortPublish
	for _, s := range specs {
		req.Publish = append(req.Publish, w.spec(s))
	}
	return w.engine.PublishPorts(context.Background(), container, req)
}

func (w *world) container(name string) api.Container {
	w.Helper()
	c, err := w.engine.Container(context.Background(), name)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// endpoint shows a container's endpoint on a network.
func (w *world) endpoint(name, network string) api.EndpointSettings {
	w.Helper()
	return w.container(name).NetworkSettings.Networks[network]
}

// served lists the published ports as the packet programs have them.
func (w *world) served() string {
	var out []string
	for _, p := range slices.Concat(w.plane.State().Published...) {
		out = append(out, p.HostIP.String()+" "+p.Target.String())
	}
	return strings.Join(out, ", ")
}

func (w *world) reconcile() {
	w.Helper()
	if err := w.engine.Reconcile(context.Background()); err != nil {
		w.Fatal(err)
	}
}

func expect(t tb, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
	}
}

// refused wants an error with a code, a hint and a text.
func refused(t tb, err error, code api.Code, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v (%s), want %s with %q", err, api.AsError(err).Code, code, text)
		return
	}
	if e.Hint == "" {
		t.Errorf("error %v does not say what to do", err)
	}
}

func TestLifeOfAContainer(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web", "-p 8080:80")

	ep := w.endpoint("c1", "web")
	expect(t, "address", ep.IPAddress.String(), "172.30.0.2")
	expect(t, "MAC", ep.MacAddress, "02:42:ac:1e:00:02")
	expect(t, "interface", ep.InterfaceName, "eth0")
	expect(t, "served", w.served(), "0.0.0.0 172.30.0.2:80, :: 172.30.0.2:80")
	expect(t, "default route", w.links.Routes("/ns/c1").Gateway4.String(), "172.30.0.1")
	if _, _, up := w.links.Endpoint(ep.HostInterface); !up {
		t.Error("the endpoint is down")
	}

	if err := w.engine.DetachContainer(context.Background(), "c1"); err != nil {
		t.Fatal(err)
	}
	expect(t, "served", w.served(), "")
	if err := w.engine.RemoveNetwork(context.Background(), "web"); err != nil {
		t.Fatal(err)
	}
	expect(t, "links left", strings.Join(w.links.Names(), " "), "")
	if n := w.store.Len(control.KindNetwork) + w.store.Len(control.KindContainer) + w.store.Len(control.KindLease); n != 0 {
		t.Errorf("%d records left", n)
	}
	if v := w.links.Violations(); len(v) > 0 {
		t.Error(v)
	}
}

func TestAddressIsStickyOverRestart(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web")
	w.mustAttach("c2", "web")
	first := w.endpoint("c1", "web").IPAddress
	if err := w.engine.DetachContainer(context.Background(), "c1"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.mustAttach("c3", "web")
	if w.endpoint("c3", "web").IPAddress == first {
		t.Errorf("c3 got c1's address %s at once", first)
	}
	w.mustAttach("c1", "web")
	expect(t, "address of c1", w.endpoint("c1", "web").IPAddress.String(), first.String())
}

func TestFailedRequestChangesNothing(t *testing.T) {
	for _, op := range []string{"Commit", "EnsureEndpoint", "Sync", "ActivateEndpoint", "SetDefaultRoutes"} {
		w := newWorld(t)
		w.network("web")
		w.mustAttach("c1", "web", "-p 8080:80")
		links := w.links.Describe()
		w.fail(op)
		if err := w.attach("c2", "web", "-p 9090:90"); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", op, err)
		}
		w.faults.Set(nil)
		w.reconcile()
		expect(t, op+": links", w.links.Describe(), links)
		expect(t, op+": served", w.served(), "0.0.0.0 172.30.0.2:80, :: 172.30.0.2:80")
		w.restart()
		w.mustAttach("c2", "web", "-p 9090:90")
		expect(t, op+": address after all", w.endpoint("c2", "web").IPAddress.String(), "172.30.0.3")
	}
}

func TestCancelledRequestChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	ctx, cancel := context.WithCancel(context.Background())
	w.faults.Set(func(op string) controltest.Fault {
		if op == "EnsureEndpoint" {
			cancel()
		}
		return controltest.Fault{}
	})
	w.links.AddNamespace("/ns/c1")
	_, err := w.engine.AttachContainer(ctx, api.ContainerAttach{
		Name: "c1", Namespace: "/ns/c1", Networks: []api.NetworkConnection{{Network: "web"}},
	})
	if !errors.Is(err, context.Canceled) || api.AsError(err).Code != api.Canceled {
		t.Errorf("error %v", err)
	}
	if names := w.links.Names(); len(names) != 1 || w.store.Len(control.KindContainer) != 0 {
		t.Errorf("left: %v, %d containers in the store", names, w.store.Len(control.KindContainer))
	}
}

func TestAdoption(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web", "-p 8080:80")
	links, served := w.links.Describe(), w.plane.State()
	w.restart()
	// A request that comes before the first reconcile must not take anything off that works.
	w.faults.Set(func(op string) controltest.Fault {
		if op == "Sync" && len(w.plane.State().Endpoints) == 0 {
			t.Error("the endpoint was lost")
		}
		return controltest.Fault{}
	})
	w.network("other")
	if got := w.plane.State(); len(got.Endpoints) != 1 || got.Endpoints[0].Incarnation != served.Endpoints[0].Incarnation {
		t.Errorf("endpoints after the restart: %+v", got.Endpoints)
	}
	if err := w.engine.RemoveNetwork(context.Background(), "other"); err != nil {
		t.Fatal(err)
	}
	expect(t, "links", w.links.Describe(), links)
}

func TestNoAdoptionWithoutTheHost(t *testing.T) {
	w := newWorld(t)
	w.fail("Host")
	if err := w.engine.Reconcile(context.Background()); err == nil || w.plane.Syncs() != 0 {
		t.Errorf("synced %d times without knowing the uplinks, %v", w.plane.Syncs(), err)
	}
	_, err := w.engine.CreateNetwork(context.Background(), api.NetworkCreate{Name: "web"})
	if !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("request: %v", err)
	}
}
