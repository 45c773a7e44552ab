// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/hostlab"
	"github.com/vethway/vethway/test/netlab"
)

const (
	servers   = 9000 // everybody's port
	published = 8080 // of the host, leads to the newcomer's
	// rounds of each way: every question is the first one twice.
	rounds = 28
)

var (
	subnet4, subnet6 = netip.MustParsePrefix("172.30.1.0/24"), netip.MustParsePrefix("fd30:1::/64")
	new4, new6       = netip.MustParseAddr("172.30.1.9"), netip.MustParseAddr("fd30:1::9")
	old4, old6       = netip.MustParseAddr("172.30.1.8"), netip.MustParseAddr("fd30:1::8")
)

// newcomer is a container that has just been attached or connected.
type newcomer struct {
	topo    *netlab.Topology
	ns, old *netlab.Namespace // old is a container that was there before
}

// question is one datagram, and the answer to it: nobody sends it again.
type question struct {
	name string
	from *netlab.Namespace
	to   netip.AddrPort
}

func (n newcomer) questions() []question {
	var all []question
	for _, f := range []struct {
		name                   string
		own, old, host, remote netip.Addr
	}{
		{"ipv4", new4, old4, n.topo.Host4, n.topo.Remote4}, {"ipv6", new6, old6, n.topo.Host6, n.topo.Remote6},
	} {
		all = append(all,
			question{f.name + " from it to the remote", n.ns, netip.AddrPortFrom(f.remote, servers)},
			question{f.name + " from the remote to its port", n.topo.Remote, netip.AddrPortFrom(f.host, published)},
			question{f.name + " from the host to its port", n.topo.Host, netip.AddrPortFrom(f.host, published)},
			question{f.name + " from the host to it", n.topo.Host, netip.AddrPortFrom(f.own, servers)},
			question{f.name + " from it to the host", n.ns, netip.AddrPortFrom(f.host, servers)},
			question{f.name + " from a neighbour to it", n.old, netip.AddrPortFrom(f.own, servers)},
			question{f.name + " from it to a neighbour", n.ns, netip.AddrPortFrom(f.old, servers)},
		)
	}
	return all
}

// TestFirstPacket: when attach or connect returns, the very next packet gets through, whoever sends it.
func TestFirstPacket(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.NeedTool(t, "nsenter")
	program, err := hostlab.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"tcx", "clsact"} {
		for _, how := range []string{"attach", "connect"} {
			t.Run(mode+" "+how, func(t *testing.T) { firstPackets(t, program, mode, how) })
		}
	}
}

func firstPackets(t *testing.T, program, mode, how string) {
	topo := netlab.Must(t, netlab.Config{Name: "ready"})
	lab, err := hostlab.Start(t.Context(), hostlab.Config{Topology: topo, Program: program, Flags: []string{"--attach=" + mode}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, req := range []api.NetworkCreate{
		{Name: "one", IPAM: api.IPAM{Config: []api.IPAMConfig{{Subnet: subnet4}, {Subnet: subnet6}}}},
		{Name: "elsewhere", EnableIPv6: new(true)},
	} {
		if _, err := lab.Client.CreateNetwork(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	n := newcomer{topo: topo, ns: member(t, topo, "new"), old: member(t, topo, "old")}
	for _, ns := range []*netlab.Namespace{topo.Remote, topo.Host} {
		serve(t, ns)
	}
	old := api.EndpointConfig{IPAMConfig: api.EndpointIPAMConfig{IPv4Address: old4, IPv6Address: old6}}
	if _, err := lab.Client.AttachContainer(t.Context(), api.ContainerAttach{
		Name: "old", Namespace: n.old.Path(), Networks: []api.NetworkConnection{{Network: "one", EndpointConfig: old}},
	}); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for round := range rounds {
		if err := n.join(t.Context(), lab, how); err != nil {
			t.Fatal(err)
		}
		all := n.questions()
		for i := range all {
			q := all[(round+i)%len(all)] // each is the first in turn
			if _, err := netlab.WhoAmI(t.Context(), q.from, "udp", q.to, netlab.WhoAmIOptions{Timeout: time.Second}); err != nil {
				t.Errorf("round %d, packet %d, %s: %v", round, i+1, q.name, err)
				lost++
			}
		}
		if lost > 5 {
			t.Fatal("and so on")
		}
		if err := lab.Client.DetachContainer(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
	}
}

func member(t *testing.T, topo *netlab.Topology, name string) *netlab.Namespace {
	t.Helper()
	ns, err := topo.AddContainer(name)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ns)
	return ns
}

func serve(t *testing.T, ns *netlab.Namespace) {
	t.Helper()
	s, err := netlab.Whoami(t.Context(), ns, netlab.ServerConfig{Label: ns.Name(), Port: servers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// join brings the container to network one, at once or from elsewhere.
func (n newcomer) join(ctx context.Context, lab *hostlab.Lab, how string) error {
	here := api.EndpointConfig{IPAMConfig: api.EndpointIPAMConfig{IPv4Address: new4, IPv6Address: new6}}
	req := api.ContainerAttach{
		Name: "new", Namespace: n.ns.Path(), Networks: []api.NetworkConnection{{Network: "one", EndpointConfig: here}},
		Publish: []api.PublishSpec{{HostPort: published, ContainerPort: servers, Protocol: api.UDP}},
	}
	if how == "attach" {
		_, err := lab.Client.AttachContainer(ctx, req)
		return err
	}
	req.Networks = []api.NetworkConnection{{Network: "elsewhere"}}
	if _, err := lab.Client.AttachContainer(ctx, req); err != nil {
		return err
	}
	// With the default route, so that the published port moves here as well.
	here.GwPriority = 1
	return lab.Client.ConnectNetwork(ctx, "one", api.NetworkConnect{Container: "new", EndpointConfig: here})
}
