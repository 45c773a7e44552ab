// SPDX-License-Identifier: Apache-2.0

package maps_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/loader/loadertest"
	"github.com/vethway/vethway/maps"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := loadertest.Leaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const now = 1000

// instance makes maps with an entry in each, and closes them: the daemon is down.
func instance(t *testing.T) *maps.Decoder {
	t.Helper()
	pins := loadertest.BPFFS(t)
	ld, err := loader.Open(t.Context(), loader.Config{PinDir: pins, FlowEntries: 4096})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, ld.Maps())
	if err := ld.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := maps.NewDecoder(maps.DecoderConfig{PinDir: pins, Now: func() (uint32, error) { return now, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put[K comparable, V any](t *testing.T, table *maps.Table[K, V], k K, v V) {
	t.Helper()
	if err := table.Update([]maps.Entry[K, V]{{Key: k, Value: v}}); err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, m *maps.Set) {
	t.Helper()
	at, a := netip.MustParseAddrPort, netip.MustParseAddr
	mac := maps.MAC{2, 0, 0, 0, 0, 1}
	put(t, m.Flows.IPv4, maps.FlowKey{Src: at("172.30.1.2:40000"), Dst: at("192.0.2.3:80"), Proto: 6}, maps.Flow{
		Src: at("192.0.2.2:20000"), Dst: at("192.0.2.3:80"), Kind: maps.FlowMasquerade, Action: 2, Flags: maps.FlowNATSource,
		TCPFlags: maps.TCPSyn | maps.TCPAck, Iif: 11, Way: 17<<20 | 3, Slot: 5, Generation: 1, Seen: now - 7, Packets: 4, Bytes: 400,
	})
	put(t, m.Flows.IPv6, maps.FlowKey{Src: at("[2001:db8::3]:40000"), Dst: at("[2001:db8::2]:8080"), Proto: 17}, maps.Flow{
		Src: at("[2001:db8::3]:40000"), Dst: at("[fd00:1::2]:80"), Kind: maps.FlowPublished, Action: 1, Way: 12, Slot: 6, Generation: 1,
		Seen: now - 2, Packets: 1<<32 + 5, Bytes: 1 << 40,
	})
	put(t, m.Bindings, maps.BindingKey{Addr: at("172.30.1.2:5000"), External: a("192.0.2.2"), Proto: 17, Inside: true},
		maps.Binding{Addr: at("192.0.2.2:20001"), Network: 1, Slot: 5, Generation: 1, Seen: now - 1})
	put(t, m.Published, maps.PublishedKey{Addr: at("[::]:8080"), Proto: 6}, maps.PublishedPort{Target: at("[fd00:1::2]:80"), Slot: 6, Generation: 1})
	put(t, m.Endpoints, a("fd00:1::2"), maps.Endpoint{Index: 11, Network: 1, MTU: 1500, MAC: mac, BridgeMAC: mac, Slot: 5, Generation: 1})
	put(t, m.Veths, 11, maps.Veth{Addr4: a("172.30.1.2"), Bridge: 10, Network: 1, MTU: 1500, MAC: mac, BridgeMAC: mac, Flags: maps.NetworkMasquerade4, Slot: 5, Generation: 1})
	put(t, m.Networks, 1, maps.Network{Gateway4: a("172.30.1.1"), Bridge: 10, Flags: maps.NetworkInternal, MTU: 1500, BridgeMAC: mac})
	put(t, m.Addresses, netip.MustParsePrefix("172.30.1.0/24"), maps.Address{Kind: maps.AddressSubnet, Network: 1})
	put(t, m.Uplinks, 2, maps.Uplink{Addr6: a("2001:db8::2"), MTU: 1500})
	err := errors.Join(
		m.PortUse.Set(map[uint32]uint32{maps.PortIndex(6, 8080): maps.PortPublished, maps.PortIndex(132, 5060): 3}),
		m.Generations.Set(map[uint32]uint32{0: 3, 5: 1}),
		m.Incarnations.Set(map[uint32]uint64{5: 0xabc}),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func TestDumpAndGet(t *testing.T) {
	d := instance(t)
	for _, tc := range []struct{ name, key, want string }{
		{bpf.VethwayMapFlows4, "tcp 172.30.1.2:40000 192.0.2.3:80", `{"proto":"tcp","src":"172.30.1.2:40000","dst":"192.0.2.3:80",` +
			`"new_src":"192.0.2.2:20000","new_dst":"192.0.2.3:80","kind":"masquerade","action":"to-uplink","flags":["nat-source"],` +
			`"tcp_flags":["syn","ack"],"iif":11,"oif":null,"way":"17.3","slot":5,"generation":1,"idle_seconds":7,"packets":4,"bytes":400}`},
		{bpf.VethwayMapFlows6, "udp [2001:db8::3]:40000 [2001:db8::2]:8080", `{"proto":"udp","src":"[2001:db8::3]:40000",` +
			`"dst":"[2001:db8::2]:8080","new_src":"[2001:db8::3]:40000","new_dst":"[fd00:1::2]:80","kind":"published","action":"to-peer",` +
			`"flags":[],"tcp_flags":[],"iif":0,"oif":12,"way":null,"slot":6,"generation":1,"idle_seconds":2,"packets":4294967301,"bytes":1099511627776}`},
		{bpf.VethwayMapBindings, "udp 172.30.1.2:5000 192.0.2.2", `{"proto":"udp","from":"inside","internal":"172.30.1.2:5000",` +
			`"external":"192.0.2.2:20001","network":1,"slot":5,"generation":1,"idle_seconds":1,"rests":false}`},
		{bpf.VethwayMapPublished, "[::]:8080/tcp", `{"host_ip":"::","host_port":8080,"proto":"tcp","target":"[fd00:1::2]:80","slot":6,"generation":1}`},
		{bpf.VethwayMapEndpoints, "fd00:1::2", `{"addr":"fd00:1::2","ifindex":11,"network":1,"mac":"02:00:00:00:00:01",` +
			`"bridge_mac":"02:00:00:00:00:01","mtu":1500,"slot":5,"generation":1}`},
		{bpf.VethwayMapVeths, "11", `{"ifindex":11,"addr4":"172.30.1.2","addr6":null,"mac":"02:00:00:00:00:01","network":1,"bridge":10,` +
			`"bridge_mac":"02:00:00:00:00:01","mtu":1500,"flags":["masquerade4"],"slot":5,"generation":1}`},
		{bpf.VethwayMapNetworks, "1", `{"network":1,"bridge":10,"bridge_mac":"02:00:00:00:00:01","gateway4":"172.30.1.1","gateway6":null,` +
			`"snat4":null,"snat6":null,"mtu":1500,"flags":["internal"]}`},
		{bpf.VethwayMapAddresses, "172.30.1.0/24", `{"prefix":"172.30.1.0/24","kind":"subnet","network":1}`},
		{bpf.VethwayMapUplinks, "2", `{"ifindex":2,"addr4":null,"addr6":"2001:db8::2","mtu":1500}`},
		{maps.IncarnationsName, "5", `{"slot":5,"digest":"0000000000000abc"}`},
		{bpf.VethwayMapPortUse, "5060/other", `{"port":5060,"proto":"other","use":["published","host"]}`},
		{bpf.VethwayMapGenerations, "5", `{"slot":5,"generation":1}`},
		{bpf.VethwayMapTries, "2", `{"class":2,"tries":"3-4","sessions":0}`},
		{bpf.VethwayMapTries, "8", `{"class":8,"tries":"failed","sessions":0}`},
	} {
		row, err := d.Get(tc.name, tc.key)
		if got := text(t, row); err != nil || got != tc.want {
			t.Errorf("%s %s: %v\n got %s\nwant %s", tc.name, tc.key, err, got, tc.want)
		}
		var dump []string
		if err := d.Dump(tc.name, func(r maps.Row) bool { dump = append(dump, text(t, r)); return true }); err != nil {
			t.Errorf("dump %s: %v", tc.name, err)
		}
		if !slices.Contains(dump, tc.want) {
			t.Errorf("dump %s: %s", tc.name, dump)
		}
	}
	if row, err := d.Get(bpf.VethwayMapAddresses, "172.30.1.7"); err != nil || fmt.Sprint(row.Get("prefix")) != "172.30.1.0/24" {
		t.Errorf("what covers 172.30.1.7: %v, %v", row, err)
	}
	if row, err := d.Get(bpf.VethwayMapPortUse, "8080"); err != nil || text(t, row) != `{"port":8080,"proto":"tcp","use":["published"]}` {
		t.Errorf("8080: %v, %v", text(t, row), err)
	}
}

func text(t *testing.T, r maps.Row) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if cells := r.Text(); len(cells) != len(r.Names()) {
		t.Errorf("%d cells below %d heads", len(cells), len(r.Names()))
	}
	return string(b)
}

func TestList(t *testing.T) {
	d := instance(t)
	list, err := d.List()
	if err != nil {
		t.Fatal(err)
	}
	entries := make(map[string]int)
	for _, i := range list {
		entries[i.Name] = i.Entries
		empty := i.Type == "LPMTrie" && i.Entries == 0 // takes none
		if i.Memory == 0 && !empty || i.MaxEntries == 0 && i.Type != "SkStorage" || i.Type == "" || i.ID == 0 || !strings.HasSuffix(i.Path, fmt.Sprintf("/%s_v%d", i.Name, i.Schema)) {
			t.Errorf("%+v", i)
		}
	}
	for name, want := range map[string]int{
		bpf.VethwayMapFlows4: 1, bpf.VethwayMapFlows6: 1, bpf.VethwayMapWays: 0, bpf.VethwayMapBindings: 1, bpf.VethwayMapPublished: 1, bpf.VethwayMapPortUse: 2,
		bpf.VethwayMapGenerations: 2, bpf.VethwayMapCounters: 0, bpf.VethwayMapSockets: -1, maps.IncarnationsName: 1,
	} {
		if got, ok := entries[name]; !ok || got != want {
			t.Errorf("%s: %d entries, %v, want %d", name, got, ok, want)
		}
	}
}

func TestDecoderErrors(t *testing.T) {
	d := instance(t)
	for _, tc := range []struct {
		name, key string
		want      error
	}{
		{"nonsense", "1", maps.ErrNoMap},
		{bpf.VethwayMapPublished, "x", maps.ErrBadKey},
		{bpf.VethwayMapPublished, "99/tcp", maps.ErrNoEntry},
		{bpf.VethwayMapFlows4, "tcp 1.2.3.4:5", maps.ErrBadKey},
		{bpf.VethwayMapFlows4, "tcp 1.2.3.4:5 6.7.8.9:10", maps.ErrNoEntry},
		{bpf.VethwayMapFlows4, "tcp [::1]:5 [::2]:10", maps.ErrBadKey},
		{bpf.VethwayMapFlows6, "tcp 1.2.3.4:5 6.7.8.9:10", maps.ErrBadKey},
		{bpf.VethwayMapFlows6, "tcp [::1]:5 6.7.8.9:10", maps.ErrBadKey},
		{bpf.VethwayMapWays, "7", maps.ErrNoEntry},
		{bpf.VethwayMapWays, "4096", maps.ErrNoEntry},
		{bpf.VethwayMapWays, "192.0.2.3", maps.ErrBadKey},
		{"flows", "tcp 1.2.3.4:5 6.7.8.9:10", maps.ErrNoMap},
		{bpf.VethwayMapVeths, "-1", maps.ErrBadKey},
		{bpf.VethwayMapGenerations, "999999999", maps.ErrNoEntry},
		{bpf.VethwayMapTries, "9", maps.ErrNoEntry},
		{bpf.VethwayMapTries, "many", maps.ErrBadKey},
		{bpf.VethwayMapCounters, "nowhere/malformed", maps.ErrBadKey},
		{bpf.VethwayMapCounters, "from-uplink/malformed", maps.ErrNoEntry},
		{bpf.VethwayMapAddresses, "192.0.2.1", maps.ErrNoEntry},
		{bpf.VethwayMapSockets, "1", maps.ErrOpaque},
	} {
		if _, err := d.Get(tc.name, tc.key); !errors.Is(err, tc.want) {
			t.Errorf("get %s %s: %v, want %v", tc.name, tc.key, err, tc.want)
		}
	}
	nothing, err := maps.NewDecoder(maps.DecoderConfig{PinDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nothing.List(); !errors.Is(err, maps.ErrNoMap) {
		t.Errorf("nothing is pinned: %v", err)
	}
	if err := nothing.Dump(bpf.VethwayMapFlows4, nil); !errors.Is(err, maps.ErrNoMap) {
		t.Errorf("nothing is pinned: %v", err)
	}
	if _, err := maps.NewDecoder(maps.DecoderConfig{}); err == nil {
		t.Error("a decoder of nothing")
	}
}

func TestPinNames(t *testing.T) {
	p := maps.Paths{Root: "/p"}
	if got := p.Map("flows4"); got != "/p/maps/flows4_v1" {
		t.Errorf("map: %s", got)
	}
	if got := p.Map("shortcuts"); got != "/p/maps/shortcuts_v2" {
		t.Errorf("map of another layout: %s", got)
	}
	if got := p.Link("vw_from_uplink", 3); got != "/p/links/vw_from_uplink-3" {
		t.Errorf("link: %s", got)
	}
	if got := p.Link("vw_connect4", 0); got != "/p/links/vw_connect4" {
		t.Errorf("link to a cgroup: %s", got)
	}
	if name, schema, err := maps.ParsePin("port_use_v12"); err != nil || name != "port_use" || schema != 12 {
		t.Errorf("port_use_v12: %s, %d, %v", name, schema, err)
	}
	for pin, outdated := range map[string]bool{
		"flows_v1": true, "shortcuts_v1": true, "quotas_v1": true, "port_flows_v1": true, "flows4_v1": false, "shortcuts_v2": false, "shortcuts_v3": false,
	} {
		if name, number, err := maps.ParsePin(pin); err != nil || maps.Outdated(name, number) != outdated {
			t.Errorf("%s: %v; of older programs alone: %v", pin, err, !outdated)
		}
	}
	for _, bad := range []string{"", "flows", "flows_v", "flows_vx", "flows_v0", "flows_v2", "flows5_v1", "theirs_v1", "_v1"} {
		if _, _, err := maps.ParsePin(bad); err == nil {
			t.Errorf("%q passed for a map of ours", bad)
		}
	}
	for _, bad := range []string{"vw_x-", "vw_x-0", "vw_x--1", "vw_x-y"} {
		if _, _, err := maps.ParseLink(bad); err == nil {
			t.Errorf("%q passed for a link", bad)
		}
	}
}
