// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

func TestAttachRefuses(t *testing.T) {
	w := newWorld(t)
	w.network("web", subnets("172.31.0.0/24"))
	w.mustAttach("c1", "web")
	w.links.AddNamespace("/ns/free")
	for name, c := range map[string]struct {
		change func(*api.ContainerAttach)
		code   api.Code
		text   string
	}{
		"unknown network":    {func(r *api.ContainerAttach) { r.Networks[0].Network = "nowhere" }, api.NotFound, "no such network: nowhere"},
		"no network":         {func(r *api.ContainerAttach) { r.Networks = nil }, api.InvalidArgument, "no network named"},
		"twice":              {func(r *api.ContainerAttach) { r.Networks = append(r.Networks, r.Networks[0]) }, api.AlreadyExists, "is on network web already"},
		"duplicate name":     {func(r *api.ContainerAttach) { r.Name = "c1" }, api.AlreadyExists, "container c1 exists already"},
		"bad name":           {func(r *api.ContainerAttach) { r.Name = "a/b" }, api.InvalidArgument, `container name "a/b"`},
		"no namespace":       {func(r *api.ContainerAttach) { r.Namespace = "" }, api.InvalidArgument, "no network namespace"},
		"missing namespace":  {func(r *api.ContainerAttach) { r.Namespace = "/ns/x" }, api.NotFound, "/ns/x"},
		"the host":           {func(r *api.ContainerAttach) { r.Namespace = "host" }, api.InvalidArgument, "host's own"},
		"attached namespace": {func(r *api.ContainerAttach) { r.Namespace = "/ns/c1" }, api.Conflict, "is container c1 already"},
		"taken address": {func(r *api.ContainerAttach) {
			r.Networks[0].IPAMConfig.IPv4Address = netip.MustParseAddr("172.31.0.2")
		}, api.Conflict, "172.31.0.2 is in use by container c1"},
		"the gateway": {func(r *api.ContainerAttach) {
			r.Networks[0].IPAMConfig.IPv4Address = netip.MustParseAddr("172.31.0.1")
		}, api.InvalidArgument, "172.31.0.1 is the gateway"},
		"address elsewhere": {func(r *api.ContainerAttach) {
			r.Networks[0].IPAMConfig.IPv4Address = netip.MustParseAddr("10.0.0.1")
		}, api.InvalidArgument, "does not lie in subnet"},
		"no IPv6": {func(r *api.ContainerAttach) {
			r.Networks[0].IPAMConfig.IPv6Address = netip.MustParseAddr("fd00::2")
		}, api.InvalidArgument, "has no IPv6"},
		"wrong family": {func(r *api.ContainerAttach) {
			r.Networks[0].IPAMConfig.IPv4Address = netip.MustParseAddr("fd00::2")
		}, api.InvalidArgument, "wrong family"},
		"bad MAC":       {func(r *api.ContainerAttach) { r.Networks[0].MacAddress = "01:00:00:00:00:00" }, api.InvalidArgument, "multicast"},
		"taken MAC":     {func(r *api.ContainerAttach) { r.Networks[0].MacAddress = "02:42:ac:1f:00:02" }, api.Conflict, "in use by container c1"},
		"bad interface": {func(r *api.ContainerAttach) { r.Networks[0].InterfaceName = "a/b" }, api.InvalidArgument, "interface"},
		"bad alias":     {func(r *api.ContainerAttach) { r.Networks[0].Aliases = []string{"a b"} }, api.InvalidArgument, "alias"},
		"bad port":      {func(r *api.ContainerAttach) { r.Publish = []api.PublishSpec{{HostPort: 80}} }, api.InvalidArgument, "container port"},
	} {
		req := api.ContainerAttach{Name: "c2", Namespace: "/ns/free", Networks: []api.NetworkConnection{{Network: "web"}}}
		c.change(&req)
		_, err := w.engine.AttachContainer(context.Background(), req)
		if code := api.AsError(err).Code; err == nil || code != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v (%s), want %s with %q", name, err, code, c.code, c.text)
		}
	}
	if names := w.links.Names(); len(names) != 2 {
		t.Errorf("links: %v", names)
	}
}

func TestStaticAddresses(t *testing.T) {
	w := newWorld(t)
	w.network("web", subnets("172.31.0.0/24", "fd00:1::/64"))
	w.links.AddNamespace("/ns/c1")
	_, err := w.engine.AttachContainer(context.Background(), api.ContainerAttach{
		Name: "c1", Namespace: "/ns/c1", Networks: []api.NetworkConnection{{Network: "web", EndpointConfig: api.EndpointConfig{
			IPAMConfig: api.EndpointIPAMConfig{
				IPv4Address: netip.MustParseAddr("172.31.0.77"), IPv6Address: netip.MustParseAddr("fd00:1::77"),
			},
			MacAddress: "02:00:00:00:00:77", InterfaceName: "lan0", Aliases: []string{"db"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	spec, _, _ := w.links.Endpoint(w.endpoint("c1", "web").HostInterface)
	expect(t, "spec", fmt.Sprint(spec.ContainerName, spec.MAC, spec.Addrs, spec.IPv6), "lan002:00:00:00:00:77 [172.31.0.77/24 fd00:1::77/64] true")
	d := w.plane.State().Endpoints[0]
	expect(t, "packet programs", fmt.Sprint(d.Addrs, d.MAC), "[172.31.0.77 fd00:1::77] 02:00:00:00:00:77")
}

// TestDefaultRoute follows the default route over connects and disconnects: the highest priority, an internal network
// never, then the name; and the published ports go where it goes.
func TestDefaultRoute(t *testing.T) {
	w := newWorld(t)
	w.network("m", subnets("10.0.1.0/24"))
	w.network("in", subnets("10.0.2.0/24", "fd00:2::/64"), internal)
	w.network("a", subnets("10.0.3.0/24"))
	w.network("z", subnets("10.0.4.0/24", "fd00:4::/64"))
	routes := func() string {
		r := w.links.Routes("/ns/c1")
		return fmt.Sprint(r.Gateway4, " ", r.Interface4, " ", r.Gateway6, " ", r.Interface6)
	}
	connect := func(network string, priority int) {
		t.Helper()
		err := w.engine.ConnectNetwork(context.Background(), network, api.NetworkConnect{
			Container: "c1", EndpointConfig: api.EndpointConfig{GwPriority: priority},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const none = "invalid IP  invalid IP "
	w.mustAttach("c1", "in", "-p 80:80")
	expect(t, "internal only", routes()+w.served(), none)

	connect("m", 0)
	expect(t, "m", routes(), "10.0.1.1 eth1 invalid IP ")
	expect(t, "m", w.served(), "0.0.0.0 10.0.1.2:80, :: 10.0.1.2:80")
	first := w.plane.State().Published[0][0].Incarnation
	connect("a", 0)
	expect(t, "a before m", routes(), "10.0.3.1 eth2 invalid IP ")
	expect(t, "a before m", w.served(), "0.0.0.0 10.0.3.2:80, :: 10.0.3.2:80")
	if w.plane.State().Published[0][0].Incarnation == first {
		t.Error("flows of the old route's port go on")
	}
	connect("z", 0)
	expect(t, "IPv6 by z", routes(), "10.0.3.1 eth2 fd00:4::1 eth3")
	expect(t, "IPv6 by z", w.served(), "0.0.0.0 10.0.3.2:80, :: [fd00:4::2]:80")
	if err := w.engine.DisconnectNetwork(context.Background(), "a", api.NetworkDisconnect{Container: "c1"}); err != nil {
		t.Fatal(err)
	}
	expect(t, "without a", routes(), "10.0.1.1 eth1 fd00:4::1 eth3")
	if err := w.engine.DisconnectNetwork(context.Background(), "z", api.NetworkDisconnect{Container: "c1"}); err != nil {
		t.Fatal(err)
	}
	connect("z", 7)
	expect(t, "z first", routes(), "10.0.4.1 eth2 fd00:4::1 eth2")
	err := w.engine.DisconnectNetwork(context.Background(), "a", api.NetworkDisconnect{Container: "c1"})
	refused(t, err, api.NotFound, "container c1 is not on network a")
}

func TestInternalNetwork(t *testing.T) {
	w := newWorld(t)
	w.network("in", internal, enable(true, true))
	w.mustAttach("c1", "in", "-p 80:80")
	state := w.plane.State()
	if n := state.Networks[0]; !n.Internal || n.Masquerade4 || n.Masquerade6 || len(n.Gateways) != 2 {
		t.Errorf("network %+v", n)
	}
	if len(state.Published) != 0 || w.links.Routes("/ns/c1") != (control.DefaultRoutes{}) {
		t.Errorf("published %v, routes %v", state.Published, w.links.Routes("/ns/c1"))
	}
	// The port is the container's all the same: it is served as soon as there is a way.
	refused(t, w.attach("c2", "in", "-p 80:80"), api.PortInUse, "in use by container c1")
}

func TestVanishedNamespace(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web", "-p 8080:80")
	w.mustAttach("c2", "web")
	addr := w.endpoint("c1", "web").IPAddress
	w.links.RemoveNamespace("/ns/c1")
	w.reconcile()
	if list, _ := w.engine.Containers(context.Background()); len(list) != 1 || list[0].Name != "c2" {
		t.Errorf("containers: %v", list)
	}
	expect(t, "served", w.served(), "")
	w.mustAttach("c3", "web")
	w.mustAttach("c1", "web", "-p 8080:80")
	if got := w.endpoint("c1", "web").IPAddress; got != addr {
		t.Errorf("c1 has %s, before %s", got, addr)
	}
	// The same path, but another namespace.
	w.links.RemoveNamespace("/ns/c1")
	w.mustAttach("c1", "web", "-p 8080:80")
	w.reconcile()
	if list, _ := w.engine.Containers(context.Background()); len(list) != 3 {
		t.Errorf("containers: %v", list)
	}
}

func TestReconcileRepairs(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web")
	want := w.links.Describe()
	w.links.AddStray("vwv0123456789ab")
	w.links.AddStray("vw-0123456789ab")
	for _, name := range w.links.Names() {
		w.links.RemoveLink(name)
		w.reconcile()
		expect(t, "after "+name+" was removed", w.links.Describe(), want)
	}
}

func TestDegraded(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	w.mustAttach("c1", "web")
	n, _ := w.engine.Network(context.Background(), "web")
	w.links.ChangeHost(func(f *control.HostFacts) { f.Routes = append(f.Routes, n.IPAM.Config[0].Subnet) })
	w.fail("EnsureEndpoint")
	if err := w.engine.Reconcile(context.Background()); err == nil {
		t.Error("no error")
	}
	s, err := w.engine.Status(context.Background())
	if err != nil || len(s.Degraded) != 2 {
		t.Fatalf("%+v, %v", s.Degraded, err)
	}
	expect(t, "first", s.Degraded[0].Subject+": "+s.Degraded[0].Message, "container c1: broken on purpose")
	expect(t, "second", s.Degraded[1].Subject, "network web")
	since := s.Degraded[0].Since
	if err := w.engine.Reconcile(context.Background()); err == nil {
		t.Error("no error")
	}
	if s, _ = w.engine.Status(context.Background()); s.Degraded[0].Since != since {
		t.Error("the condition is shown as new")
	}
	if len(w.plane.State().Endpoints) != 1 {
		t.Error("an endpoint that cannot be checked was taken off the programs")
	}
	w.faults.Set(nil)
	w.links.ChangeHost(func(f *control.HostFacts) { f.Routes = nil })
	w.reconcile()
	if s, _ = w.engine.Status(context.Background()); len(s.Degraded) != 0 {
		t.Errorf("still degraded: %+v", s.Degraded)
	}
}
