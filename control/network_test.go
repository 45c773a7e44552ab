// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/ipam"
	"github.com/vethway/vethway/test/behaviour"
)

func subnets(list ...string) func(*api.NetworkCreate) {
	return func(req *api.NetworkCreate) {
		for _, s := range list {
			req.IPAM.Config = append(req.IPAM.Config, api.IPAMConfig{Subnet: netip.MustParsePrefix(s)})
		}
	}
}

func option(key, value string) func(*api.NetworkCreate) {
	return func(req *api.NetworkCreate) {
		if req.Options == nil {
			req.Options = map[string]string{}
		}
		req.Options[key] = value
	}
}

func enable(ipv4, ipv6 bool) func(*api.NetworkCreate) {
	return func(req *api.NetworkCreate) { req.EnableIPv4, req.EnableIPv6 = &ipv4, &ipv6 }
}

func internal(req *api.NetworkCreate) { req.Internal = true }

func TestCreateNetworkRefuses(t *testing.T) {
	behaviour.Covers(t, "D33", behaviour.None)
	config := func(c api.IPAMConfig) func(*api.NetworkCreate) {
		return func(req *api.NetworkCreate) { req.IPAM.Config = append(req.IPAM.Config, c) }
	}
	w := newWorld(t)
	w.links.ChangeHost(func(f *control.HostFacts) {
		f.Routes = append(f.Routes, netip.MustParsePrefix("10.8.0.0/16"), netip.MustParsePrefix("fd00:8::/48"))
	})
	w.network("one", subnets("172.31.1.0/24", "fd00:1::/64"))
	for _, c := range []struct {
		name   string
		change func(*api.NetworkCreate)
		code   api.Code
		text   string
	}{
		{"one", enable(true, false), api.AlreadyExists, "network one exists already"},
		{"two", subnets("172.31.0.0/16"), api.Conflict, "subnet 172.31.0.0/16 overlaps 172.31.1.0/24 of network one"},
		{"two", subnets("172.31.1.128/25"), api.Conflict, "overlaps 172.31.1.0/24 of network one"},
		{"two", subnets("fd00:1::/80"), api.Conflict, "overlaps fd00:1::/64 of network one"},
		{"two", subnets("10.0.0.0/8"), api.Conflict, "overlaps the host's route to 10.8.0.0/16"},
		{"two", subnets("fd00:8::/48"), api.Conflict, "overlaps the host's route to fd00:8::/48"},
		{"two", subnets("192.0.2.0/28"), api.Conflict, "overlaps the host's address 192.0.2.2 on eth0"},
		{"two", subnets("192.0.2.128/25"), api.Conflict, "overlaps 192.0.2.0/24, which the host is connected to by eth0"},
		{"two", subnets("192.0.0.0/16"), api.Conflict, "overlaps the host's address 192.0.2.2 on eth0"},
		{"two", subnets("172.31.2.1/24"), api.InvalidArgument, "host bits"},
		{"two", subnets("fd00:2::1/64"), api.InvalidArgument, "host bits"},
		{"two", subnets("172.31.2.0/24", "172.31.3.0/24"), api.InvalidArgument, "more than one IPv4 subnet"},
		{"two", enable(false, false), api.InvalidArgument, "needs IPv4 or IPv6"},
		{"two", config(api.IPAMConfig{Gateway: netip.MustParseAddr("10.0.0.1")}), api.InvalidArgument, "need a subnet"},
		{"-two", internal, api.InvalidArgument, "name"},
		{"", internal, api.InvalidArgument, "name"},
		{strings.Repeat("x", 64), internal, api.InvalidArgument, "name"},
		{"two", func(r *api.NetworkCreate) { r.Driver = "overlay" }, api.Unsupported, "overlay"},
		{"two", func(r *api.NetworkCreate) { r.IPAM.Driver = "dhcp" }, api.Unsupported, "dhcp"},
		{"two", option("com.example.colour", "red"), api.InvalidArgument, "unknown network option com.example.colour"},
		{"two", option(api.OptionMTU, "60"), api.InvalidArgument, "MTU 60 is not from 68"},
		{"two", option(api.OptionMTU, "70000"), api.InvalidArgument, "MTU 70000"},
		{"two", option(api.OptionPacketSize, "65535"), api.InvalidArgument, `"65535" is not valid`},
		{"two", option(api.OptionPacketSize, "524281"), api.InvalidArgument, `"524281" is not valid`},
		{"two", option(api.OptionPacketSize, "big"), api.InvalidArgument, `"big" is not valid`},
		{"two", option(api.OptionHostIPv4, "192.0.2.9"), api.InvalidArgument, "leave with 192.0.2.9: it is no address of the host's"},
		{"two", option(api.OptionHostIPv4, "172.31.1.1"), api.InvalidArgument, "it is no address of the host's"},
		{"two", option(api.OptionHostIPv4, "127.0.0.1"), api.InvalidArgument, "it is no address of the host's"},
		{"two", option(api.OptionHostIPv4, "fd00:1::1"), api.InvalidArgument, `"fd00:1::1" is not valid`},
		{"two", option(api.OptionHostIPv6, "192.0.2.2"), api.InvalidArgument, `"192.0.2.2" is not valid`},
		{"two", option(api.OptionHostIPv6, "2001:db8::2"), api.InvalidArgument, "the network has no IPv6"},
		{"two", func(r *api.NetworkCreate) {
			option(api.OptionHostIPv4, "192.0.2.2")(r)
			r.Internal = true
		}, api.InvalidArgument, "nothing leaves an internal network"},
		{"two", func(r *api.NetworkCreate) {
			r.Options = map[string]string{api.OptionHostIPv4: "192.0.2.2", api.OptionMasquerade: "false"}
		}, api.InvalidArgument, "exclude each other"},
		{"two", option(api.OptionBridgeName, "br0"), api.InvalidArgument, `bridge name "br0"`},
		{"two", option(api.OptionBridgeName, "vw-0123456789abcd"), api.InvalidArgument, "bridge name"},
		{"two", option(api.OptionGatewayMode, "routed"), api.Unsupported, "routed"},
		{"two", option(api.OptionICC, "false"), api.Unsupported, "enable_icc"},
	} {
		req := api.NetworkCreate{Name: c.name}
		c.change(&req)
		_, err := w.engine.CreateNetwork(context.Background(), req)
		if code := api.AsError(err).Code; err == nil || code != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v (%s), want %s with %q", c.name, err, code, c.code, c.text)
		}
		if c.code == api.Conflict || c.code == api.AlreadyExists {
			refused(t, err, c.code, c.text)
		}
	}
	if names := w.links.Names(); len(names) != 1 {
		t.Errorf("links: %v", names)
	}
	_, err := w.engine.CreateNetwork(context.Background(), api.NetworkCreate{
		Name: "six", EnableIPv6: new(true), Options: map[string]string{api.OptionMTU: "1000"},
	})
	if api.AsError(err).Code != api.InvalidArgument {
		t.Errorf("MTU 1000 with IPv6: %v", err)
	}
}

// TestFixedSource: the address that packets leave with reaches the packet programs, and its loss is told.
func TestFixedSource(t *testing.T) {
	behaviour.Covers(t, "D27", behaviour.None)
	w := newWorld(t)
	other4, other6 := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8:2::9")
	w.links.ChangeHost(func(f *control.HostFacts) {
		f.Locals = append(f.Locals, netip.PrefixFrom(other4, 32), netip.PrefixFrom(other6, 128))
	})
	w.network("web", enable(true, true), func(r *api.NetworkCreate) {
		r.Options = map[string]string{api.OptionHostIPv4: other4.String(), api.OptionHostIPv6: other6.String()}
	})
	w.restart()
	if n := w.plane.State().Networks; len(n) != 1 || n[0].SNAT4 != other4 || n[0].SNAT6 != other6 || !n[0].Masquerade4 {
		t.Errorf("the programs were told %+v", n)
	}
	w.links.ChangeHost(func(f *control.HostFacts) { f.Locals = nil })
	err := w.engine.Reconcile(context.Background())
	if err == nil || !strings.Contains(err.Error(), "network web: 192.0.2.9, which containers leave with, is no address of the host's any more") {
		t.Errorf("the address is lost: %v", err)
	}
}

// TestSubnetWithinAVPN: a route that leads far away may be wider than a network's subnet, as that of a company's VPN is.
func TestSubnetWithinAVPN(t *testing.T) {
	behaviour.Covers(t, "D33", behaviour.None)
	w := newWorld(t)
	w.links.ChangeHost(func(f *control.HostFacts) {
		f.Routes = append(f.Routes, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.250.0.0/24"), netip.MustParsePrefix("fd00::/8"))
		f.Addrs = append(f.Addrs, control.HostAddr{Prefix: netip.MustParsePrefix("10.250.0.7/24"), Interface: "tun0"})
	})
	w.network("inside", subnets("10.1.2.0/24", "fd00:5::/64"))
	tunnel := api.NetworkCreate{Name: "tunnel"}
	subnets("10.250.0.128/25")(&tunnel)
	_, err := w.engine.CreateNetwork(context.Background(), tunnel)
	refused(t, err, api.Conflict, "subnet 10.250.0.128/25 overlaps 10.250.0.0/24, which the host is connected to by tun0")

	// The host may move into a network's subnet later: that cannot be refused, but must be seen.
	w.links.ChangeHost(func(f *control.HostFacts) {
		f.Addrs = append(f.Addrs, control.HostAddr{Prefix: netip.MustParsePrefix("10.1.3.1/16"), Interface: "eth1"})
	})
	if err := w.engine.Reconcile(context.Background()); err == nil {
		t.Error("no word of an overlap")
	}
	status, err := w.engine.Status(context.Background())
	if err != nil || len(status.Degraded) != 1 || !strings.Contains(status.Degraded[0].Message,
		"subnet 10.1.2.0/24 has come to overlap 10.1.0.0/16, which the host is connected to by eth1") {
		t.Errorf("degraded: %+v, %v", status.Degraded, err)
	}
}

func TestExhaustedPools(t *testing.T) {
	behaviour.Covers(t, "D33", behaviour.None)
	w := newWorld(t, func(c *control.Config) {
		c.Bases = []ipam.Base{{Prefix: netip.MustParsePrefix("172.30.0.0/23"), Size: 24}}
		c.Base6 = netip.MustParsePrefix("fd00:abcd::/63")
	})
	w.network("a", enable(true, true))
	w.network("b", enable(true, true))
	_, err := w.engine.CreateNetwork(context.Background(), api.NetworkCreate{Name: "c"})
	refused(t, err, api.ResourceExhausted, "no free subnet left in 172.30.0.0/23")
	_, err = w.engine.CreateNetwork(context.Background(), api.NetworkCreate{Name: "c", EnableIPv4: new(false), EnableIPv6: new(true)})
	refused(t, err, api.ResourceExhausted, "no free subnet left in fd00:abcd::/63")

	w.network("small", subnets("10.0.0.0/30"))
	w.mustAttach("c1", "small")
	refused(t, w.attach("c2", "small"), api.ResourceExhausted, "no free address left in 10.0.0.0/30")
	w.network("small6", subnets("fd00:9::/127"), enable(false, true))
	w.mustAttach("c3", "small6")
	refused(t, w.attach("c4", "small6"), api.ResourceExhausted, "no free address left in fd00:9::/127")
}

func TestRemoveNetworkInUse(t *testing.T) {
	behaviour.Covers(t, "D33", behaviour.None)
	w := newWorld(t)
	w.network("web", enable(true, true))
	w.network("idle", enable(true, true))
	w.network("labelled", func(r *api.NetworkCreate) { r.Labels = map[string]string{"keep": "yes"} })
	w.mustAttach("c1", "web")
	w.mustAttach("c2", "web")
	refused(t, w.engine.RemoveNetwork(context.Background(), "web"), api.InUse, "network web has 2 containers: c1, c2")
	refused(t, w.engine.RemoveNetwork(context.Background(), "nowhere"), api.NotFound, "no such network: nowhere")

	pruned, err := w.engine.PruneNetworks(context.Background(), []string{"name=idl"})
	if err != nil || strings.Join(pruned.NetworksDeleted, " ") != "idle" {
		t.Errorf("pruned %v, %v", pruned, err)
	}
	pruned, err = w.engine.PruneNetworks(context.Background(), nil)
	if err != nil || strings.Join(pruned.NetworksDeleted, " ") != "labelled" {
		t.Errorf("pruned %v, %v", pruned, err)
	}
	// What uses it may have vanished a moment ago, before anybody noticed.
	w.links.RemoveNamespace("/ns/c1")
	w.links.RemoveNamespace("/ns/c2")
	if err := w.engine.RemoveNetwork(context.Background(), "web"); err != nil {
		t.Error(err)
	}
	expect(t, "links", strings.Join(w.links.Names(), " "), "")
}

func TestInspectNetwork(t *testing.T) {
	behaviour.Covers(t, "D33", behaviour.None)
	w := newWorld(t)
	w.network("web", func(r *api.NetworkCreate) {
		r.IPAM.Config = []api.IPAMConfig{
			{
				Subnet: netip.MustParsePrefix("172.31.0.0/24"), IPRange: netip.MustParsePrefix("172.31.0.128/25"),
				AuxiliaryAddresses: map[string]netip.Addr{"router": netip.MustParseAddr("172.31.0.9")},
			},
			{Subnet: netip.MustParsePrefix("fd00:1::/64"), Gateway: netip.MustParseAddr("fd00:1::fe")},
		}
		r.Options = map[string]string{api.OptionMasquerade: "false"}
		r.Labels = map[string]string{"team": "blue"}
	})
	w.mustAttach("c1", "web")
	n, err := w.engine.Network(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent(n, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`[0-9a-f]{64}`)
	created := regexp.MustCompile(`"Created": "[^"]+"`)
	bridge := regexp.MustCompile(`vw-[0-9a-f]{12}`)
	got := bridge.ReplaceAllString(created.ReplaceAllString(ids.ReplaceAllString(string(data), "ID"), `"Created": "TIME"`), "BRIDGE")
	expect(t, "inspect", got, `{
 "Name": "web",
 "Id": "ID",
 "Created": "TIME",
 "Scope": "local",
 "Driver": "bridge",
 "EnableIPv4": true,
 "EnableIPv6": true,
 "IPAM": {
  "Driver": "default",
  "Config": [
   {
    "Subnet": "172.31.0.0/24",
    "IPRange": "172.31.0.128/25",
    "Gateway": "172.31.0.1",
    "AuxiliaryAddresses": {
     "router": "172.31.0.9"
    }
   },
   {
    "Subnet": "fd00:1::/64",
    "Gateway": "fd00:1::fe"
   }
  ]
 },
 "Internal": false,
 "Containers": {
  "ID": {
   "Name": "c1",
   "EndpointID": "ID",
   "MacAddress": "02:42:ac:1f:00:80",
   "IPv4Address": "172.31.0.128/24",
   "IPv6Address": "fd00:1::1/64"
  }
 },
 "Options": {
  "com.docker.network.bridge.enable_ip_masquerade": "false"
 },
 "Labels": {
  "team": "blue"
 },
 "Index": 1,
 "Bridge": "BRIDGE",
 "Mtu": 1500
}`)
	if d := w.plane.State().Networks[0]; d.Masquerade4 || d.Masquerade6 {
		t.Error("masquerade is on")
	}
}

func TestDefaultSubnets(t *testing.T) {
	w := newWorld(t)
	w.links.ChangeHost(func(f *control.HostFacts) {
		// A VPN's two halves of the address space say nothing; a route to 172.30.1.0/24 does.
		for _, s := range []string{"0.0.0.0/1", "128.0.0.0/1", "172.30.1.0/24"} {
			f.Routes = append(f.Routes, netip.MustParsePrefix(s))
		}
	})
	w.network("a")
	n, _ := w.engine.Network(context.Background(), "a")
	expect(t, "first", n.IPAM.Config[0].Subnet.String(), "172.30.0.0/24")
	w.network("b", enable(true, true))
	n, _ = w.engine.Network(context.Background(), "b")
	expect(t, "second", n.IPAM.Config[0].Subnet.String(), "172.30.2.0/24")
	six := n.IPAM.Config[1].Subnet
	if six.Bits() != 64 || !netip.MustParsePrefix("fd00::/8").Contains(six.Addr()) {
		t.Errorf("IPv6 subnet %s", six)
	}
	w.restart()
	w.network("c", enable(true, true))
	n, _ = w.engine.Network(context.Background(), "c")
	next := n.IPAM.Config[1].Subnet
	if a, _ := six.Addr().Prefix(48); !a.Contains(next.Addr()) || next == six {
		t.Errorf("after a restart the IPv6 subnet is %s, before %s", next, six)
	}
}

func TestNetworkNumbersAreNotReusedSoon(t *testing.T) {
	w := newWorld(t)
	w.network("a")
	if err := w.engine.RemoveNetwork(context.Background(), "a"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.network("b")
	if n, _ := w.engine.Network(context.Background(), "b"); n.Index != 2 {
		t.Errorf("index %d", n.Index)
	}
}

func TestLookup(t *testing.T) {
	w := newWorld(t)
	w.network("web")
	n, err := w.engine.Network(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{n.ID, n.ID[:7]} {
		if got, err := w.engine.Network(context.Background(), ref); err != nil || got.ID != n.ID {
			t.Errorf("%s: %v, %v", ref, got.Name, err)
		}
	}
	for _, filter := range []struct {
		list string
		n    int
	}{{"name=we", 1}, {"name=x", 0}, {"driver=bridge", 1}, {"id=" + n.ID[:5], 1}, {"label=a", 0}} {
		list, err := w.engine.Networks(context.Background(), []string{filter.list})
		if err != nil || len(list) != filter.n {
			t.Errorf("%s: %d networks, %v", filter.list, len(list), err)
		}
	}
	_, err = w.engine.Networks(context.Background(), []string{"colour=red"})
	refused(t, err, api.InvalidArgument, `filter "colour=red"`)
}
