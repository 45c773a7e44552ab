// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/controltest"
	"pgregory.net/rapid"
)

// crash is thrown where the daemon is to die.
type crash struct{}

// TestReconcileProperties has an engine work off random requests, while calls fail before or after they did their work,
// the daemon is killed at any call and started again, namespaces vanish, and links are removed and added by hand. After
// a reconcile in peace the host must be what the API says, and a request that failed must have changed nothing.
func TestReconcileProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{world: newWorld(t)}
		t.Repeat(map[string]func(*rapid.T){
			"create": m.create, "remove": m.remove, "attach": m.attach, "detach": m.detach, "connect": m.connect,
			"disconnect": m.disconnect, "publish": m.publish, "unpublish": m.unpublish, "prune": m.prune,
			"vanish": m.vanish, "sabotage": m.sabotage, "restart": func(*rapid.T) { m.start() },
			"": m.check,
		})
	})
}

type machine struct {
	*world
	// unsettled: the daemon was started or a namespace vanished since the last reconcile, and a request, even one that fails
	// in the end, may put things right as it goes.
	unsettled bool
}

var (
	someNetworks   = []string{"a", "b", "in", "v6"}
	someContainers = []string{"c1", "c2", "c3"}
)

// do runs a request with faults.
func (m *machine) do(t *rapid.T, request func(ctx context.Context) error) {
	before := m.views(t)
	countdown := rapid.IntRange(0, 12).Draw(t, "calls before the fault")
	kind := rapid.SampledFrom([]string{"none", "none", "before", "after", "lasting", "crash"}).Draw(t, "fault")
	m.faults.Set(func(string) controltest.Fault {
		countdown--
		switch {
		case kind == "none" || countdown > 0 || countdown < 0 && kind != "lasting" && kind != "crash":
			return controltest.Fault{}
		case kind == "crash":
			panic(crash{})
		}
		return controltest.Fault{Err: errBroken, After: kind == "after"}
	})
	crashed, err := m.survive(request)
	m.faults.Set(nil)
	if crashed {
		m.start()
		return
	}
	if err != nil && !m.unsettled {
		if after := m.views(t); after != before {
			t.Fatalf("a request failed (%v) and changed:\n%s", err, differences(before, after))
		}
	}
}

// start starts the daemon anew.
func (m *machine) start() {
	m.restart()
	m.unsettled = true
}

func (m *machine) survive(request func(ctx context.Context) error) (crashed bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			crashed = true
		}
	}()
	return false, request(context.Background())
}

// views is all that the API shows.
func (m *machine) views(t *rapid.T) string {
	networks, err1 := m.engine.Networks(context.Background(), nil)
	containers, err2 := m.engine.Containers(context.Background())
	list, err3 := m.engine.Ports(context.Background(), api.PortFilter{})
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	data, err := json.MarshalIndent([]any{networks, containers, list}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (m *machine) create(t *rapid.T) {
	req := api.NetworkCreate{Name: rapid.SampledFrom(someNetworks).Draw(t, "network")}
	yes, no := true, false
	switch req.Name {
	case "b":
		req.EnableIPv6 = &yes
	case "in":
		req.Internal = true
	case "v6":
		req.EnableIPv4, req.EnableIPv6 = &no, &yes
	}
	m.do(t, func(ctx context.Context) error {
		_, err := m.engine.CreateNetwork(ctx, req)
		return err
	})
}

func (m *machine) remove(t *rapid.T) {
	name := rapid.SampledFrom(someNetworks).Draw(t, "network")
	m.do(t, func(ctx context.Context) error { return m.engine.RemoveNetwork(ctx, name) })
}

func (m *machine) prune(t *rapid.T) {
	m.do(t, func(ctx context.Context) error {
		_, err := m.engine.PruneNetworks(ctx, nil)
		return err
	})
}

func someSpecs(t *rapid.T) (specs []api.PublishSpec) {
	for range rapid.IntRange(0, 2).Draw(t, "ports") {
		s := api.PublishSpec{
			HostPort: rapid.Uint16Range(0, 4).Draw(t, "host port"), ContainerPort: 80,
			HostIP: rapid.SampledFrom([]netip.Addr{{}, {}, netip.MustParseAddr("127.0.0.1"), netip.IPv6Unspecified()}).Draw(t, "host"),
		}
		if more := rapid.Uint16Range(0, 2).Draw(t, "more"); more > 0 && s.HostPort != 0 {
			s.HostPortEnd, s.ContainerPortEnd = s.HostPort+more, s.ContainerPort+more
		}
		specs = append(specs, s)
	}
	return specs
}

func (m *machine) attach(t *rapid.T) {
	name := rapid.SampledFrom(someContainers).Draw(t, "container")
	path := "/ns/" + name
	if m.links.Routes(path) == (control.DefaultRoutes{}) {
		if _, err := m.links.OpenNamespace(context.Background(), path); err != nil {
			m.links.AddNamespace(path)
		}
	}
	req := api.ContainerAttach{Name: name, Namespace: path, Publish: someSpecs(t)}
	for range rapid.IntRange(1, 2).Draw(t, "networks") {
		req.Networks = append(req.Networks, m.someConnection(t))
	}
	m.do(t, func(ctx context.Context) error {
		_, err := m.engine.AttachContainer(ctx, req)
		return err
	})
}

func (m *machine) someConnection(t *rapid.T) api.NetworkConnection {
	return api.NetworkConnection{
		Network:        rapid.SampledFrom(someNetworks).Draw(t, "network"),
		EndpointConfig: api.EndpointConfig{GwPriority: rapid.IntRange(0, 1).Draw(t, "priority")},
	}
}

func (m *machine) detach(t *rapid.T) {
	name := rapid.SampledFrom(someContainers).Draw(t, "container")
	m.do(t, func(ctx context.Context) error { return m.engine.DetachContainer(ctx, name) })
}

func (m *machine) connect(t *rapid.T) {
	c := m.someConnection(t)
	req := api.NetworkConnect{Container: rapid.SampledFrom(someContainers).Draw(t, "container"), EndpointConfig: c.EndpointConfig}
	m.do(t, func(ctx context.Context) error { return m.engine.ConnectNetwork(ctx, c.Network, req) })
}

func (m *machine) disconnect(t *rapid.T) {
	network := rapid.SampledFrom(someNetworks).Draw(t, "network")
	req := api.NetworkDisconnect{Container: rapid.SampledFrom(someContainers).Draw(t, "container")}
	m.do(t, func(ctx context.Context) error { return m.engine.DisconnectNetwork(ctx, network, req) })
}

func (m *machine) publish(t *rapid.T) {
	name, req := rapid.SampledFrom(someContainers).Draw(t, "container"), api.PortPublish{Publish: someSpecs(t)}
	m.do(t, func(ctx context.Context) error {
		_, err := m.engine.PublishPorts(ctx, name, req)
		return err
	})
}

func (m *machine) unpublish(t *rapid.T) {
	name, req := rapid.SampledFrom(someContainers).Draw(t, "container"), api.PortUnpublish{Publish: someSpecs(t)}
	m.do(t, func(ctx context.Context) error {
		_, err := m.engine.UnpublishPorts(ctx, name, req)
		return err
	})
}

func (m *machine) vanish(t *rapid.T) {
	path := "/ns/" + rapid.SampledFrom(someContainers).Draw(t, "container")
	m.links.RemoveNamespace(path)
	if rapid.Bool().Draw(t, "another takes its place") {
		m.links.AddNamespace(path)
	}
	m.unsettled = true
}

func (m *machine) sabotage(t *rapid.T) {
	names := append(m.links.Names(), "vw-00000000beef", "vwv00000000beef")
	if name := rapid.SampledFrom(names).Draw(t, "link"); strings.HasSuffix(name, "beef") {
		m.links.AddStray(name)
	} else {
		m.links.RemoveLink(name)
	}
}

// check reconciles in peace, some of the time, and compares.
func (m *machine) check(t *rapid.T) {
	if !rapid.Bool().Draw(t, "reconcile") {
		return
	}
	if err := m.engine.Reconcile(context.Background()); err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	m.unsettled = false
	if v := m.links.Violations(); len(v) > 0 {
		t.Fatal(v)
	}
	want, plane := m.expected(t)
	if got := m.links.Describe(); got != want {
		t.Fatalf("links are\n%s\nwant\n%s", got, want)
	}
	if got := describePlane(m.plane.State()); got != plane {
		t.Fatalf("packet programs have\n%s\nwant\n%s", got, plane)
	}
	shown := m.views(t)
	m.start()
	if after := m.views(t); after != shown {
		t.Fatalf("a restart changed:\n%s", differences(shown, after))
	}
}

// expected says what the host must look like, going by what the API shows and by nothing else.
func (m *machine) expected(t *rapid.T) (links, plane string) {
	networks, err := m.engine.Networks(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	containers, err := m.engine.Containers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var lines, programs []string
	byName := map[string]api.Network{}
	for _, n := range networks {
		byName[n.Name] = n
		var addrs []netip.Prefix
		for _, c := range n.IPAM.Config {
			addrs = append(addrs, netip.PrefixFrom(c.Gateway, c.Subnet.Bits()))
		}
		have, index := m.links.Bridge(n.Bridge)
		if !slices.Equal(have, addrs) {
			t.Fatalf("bridge %s of %s has %v, want %v", n.Bridge, n.Name, have, addrs)
		}
		lines = append(lines, lineOf(m.links.Describe(), "bridge "+n.Bridge))
		programs = append(programs, fmt.Sprintf("network %d bridge %d", n.Index, index))
	}
	for _, c := range containers {
		for name, ep := range c.NetworkSettings.Networks {
			lines = append(lines, expectedVeth(byName[name], c, ep))
			_, index, _ := m.links.Endpoint(ep.HostInterface)
			programs = append(programs, fmt.Sprintf("endpoint %d if %d", byName[name].Index, index))
		}
		m.expectRoutes(t, c)
		for port, bindings := range c.NetworkSettings.Ports {
			for _, b := range bindings {
				programs = append(programs, fmt.Sprintf("port %s %s to %s", b.HostIP, b.HostPort, expectedTarget(c, b.HostIP, port)))
			}
		}
	}
	slices.Sort(lines)
	slices.Sort(programs)
	return strings.Join(lines, "\n"), strings.Join(programs, "\n")
}

func lineOf(text, start string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, start+" ") {
			return line
		}
	}
	return start + " is missing"
}

func expectedVeth(n api.Network, c api.Container, ep api.EndpointSettings) string {
	var addrs []netip.Prefix
	if ep.IPAddress.IsValid() {
		addrs = append(addrs, netip.PrefixFrom(ep.IPAddress, ep.IPPrefixLen))
	}
	if ep.GlobalIPv6Address.IsValid() {
		addrs = append(addrs, netip.PrefixFrom(ep.GlobalIPv6Address, ep.GlobalIPv6PrefixLen))
	}
	return fmt.Sprintf("veth %s on %s in %s as %s mac %s mtu %d addrs %v up true", ep.HostInterface, n.Bridge, c.Namespace.Path,
		ep.InterfaceName, ep.MacAddress, n.MTU, addrs)
}

// expectRoutes works out the default routes anew: the highest priority, then the name, never an internal network.
func (m *machine) expectRoutes(t *rapid.T, c api.Container) {
	var want control.DefaultRoutes
	names := slices.SortedFunc(maps.Keys(c.NetworkSettings.Networks), func(a, b string) int {
		pa, pb := c.NetworkSettings.Networks[a].GwPriority, c.NetworkSettings.Networks[b].GwPriority
		if pa != pb {
			return pb - pa
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		ep := c.NetworkSettings.Networks[name]
		if ep.Gateway.IsValid() && !want.Gateway4.IsValid() {
			want.Gateway4, want.Interface4 = ep.Gateway, ep.InterfaceName
		}
		if ep.IPv6Gateway.IsValid() && !want.Gateway6.IsValid() {
			want.Gateway6, want.Interface6 = ep.IPv6Gateway, ep.InterfaceName
		}
	}
	if len(names) > 0 && m.links.Routes(c.Namespace.Path) != want {
		t.Fatalf("container %s: routes %+v, want %+v", c.Name, m.links.Routes(c.Namespace.Path), want)
	}
}

func expectedTarget(c api.Container, hostIP netip.Addr, port string) string {
	number, _, _ := strings.Cut(port, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		panic(err)
	}
	var v4, v6 netip.Addr
	for _, ep := range c.NetworkSettings.Networks {
		if slices.Contains(ep.DefaultRoute, "ipv4") {
			v4 = ep.IPAddress
		}
		if slices.Contains(ep.DefaultRoute, "ipv6") {
			v6 = ep.GlobalIPv6Address
		}
	}
	if hostIP.Is6() && v6.IsValid() {
		v4 = v6
	}
	return netip.AddrPortFrom(v4, uint16(n)).String()
}

func describePlane(s control.DataplaneState) string {
	var lines []string
	for _, n := range s.Networks {
		lines = append(lines, fmt.Sprintf("network %d bridge %d", n.ID, n.BridgeIndex))
	}
	for _, e := range s.Endpoints {
		lines = append(lines, fmt.Sprintf("endpoint %d if %d", e.Network, e.HostIndex))
	}
	for _, p := range slices.Concat(s.Published...) {
		for i := range p.More + 1 {
			to := netip.AddrPortFrom(p.Target.Addr(), p.Target.Port()+i)
			lines = append(lines, fmt.Sprintf("port %s %d to %s", p.HostIP, p.HostPort+i, to))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// differences lists the lines that only one of two texts has.
func differences(before, after string) string {
	var out []string
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, "- "+strings.TrimSpace(line))
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out = append(out, "+ "+strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}
