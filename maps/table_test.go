// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/test/behaviour"
)

// makeTable makes a map as the object declares it, but of another size.
func makeTable[K comparable, V any](t testing.TB, name string, size uint32, w wire[K, V]) *Table[K, V] {
	t.Helper()
	return changedTable(t, name, w, func(spec *ebpf.MapSpec) { spec.MaxEntries = size })
}

func changedTable[K comparable, V any](t testing.TB, name string, w wire[K, V], change func(*ebpf.MapSpec)) *Table[K, V] {
	t.Helper()
	behaviour.NeedRoot(t)
	spec, err := bpf.LoadVethway()
	if err != nil {
		t.Fatal(err)
	}
	change(spec.Maps[name])
	m, err := ebpf.NewMap(spec.Maps[name])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &Table[K, V]{m: m, name: name, wire: w}
}

func endpointAt(i int) (netip.Addr, Endpoint) {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Endpoint{Index: uint32(i), MTU: 1500}
}

func manyEndpoints(n int) []Entry[netip.Addr, Endpoint] {
	entries := make([]Entry[netip.Addr, Endpoint], n)
	for i := range entries {
		entries[i].Key, entries[i].Value = endpointAt(i)
	}
	return entries
}

func TestBatches(t *testing.T) {
	table := makeTable(t, bpf.VethwayMapEndpoints, 10_000, endpointsWire())
	if all, err := table.Load(); err != nil || len(all) != 0 {
		t.Fatalf("an empty map: %v, %v", all, err)
	}
	entries := manyEndpoints(10_000)
	if err := table.Update(entries); err != nil {
		t.Fatal(err)
	}
	all, err := table.Load()
	if err != nil || len(all) != len(entries) {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	for _, e := range entries {
		if all[e.Key] != e.Value {
			t.Fatalf("%s: %+v, want %+v", e.Key, all[e.Key], e.Value)
		}
	}
	// Every other key does not exist.
	var keys []netip.Addr
	for i := range 10_000 {
		there, _ := endpointAt(i)
		gone, _ := endpointAt(i + 20_000)
		keys = append(keys, gone, there)
	}
	if err := table.Delete(keys); err != nil {
		t.Fatal(err)
	}
	if all, err := table.Load(); err != nil || len(all) != 0 {
		t.Fatalf("%d entries are left, %v", len(all), err)
	}
	if err := errors.Join(table.Update(nil), table.Delete(nil), table.Delete(keys[:1])); err != nil {
		t.Error(err)
	}
}

func TestFullMap(t *testing.T) {
	table := makeTable(t, bpf.VethwayMapEndpoints, 100, endpointsWire())
	if err := table.Update(manyEndpoints(101)); !errors.Is(err, ErrFull) {
		t.Errorf("the 101st of 100: %v", err)
	}
	prefixes := makeTable(t, bpf.VethwayMapAddresses, 1, addressesWire())
	two := []Entry[netip.Prefix, Address]{{Key: netip.MustParsePrefix("10.0.0.0/8")}, {Key: netip.MustParsePrefix("11.0.0.0/8")}}
	if err := prefixes.Update(two); !errors.Is(err, ErrFull) {
		t.Errorf("the second of one prefix: %v", err)
	}
}

func TestLookup(t *testing.T) {
	table := makeTable(t, bpf.VethwayMapEndpoints, 100, endpointsWire())
	if err := table.Update(manyEndpoints(10)); err != nil {
		t.Fatal(err)
	}
	key, want := endpointAt(7)
	if got, ok, err := table.Lookup(key); err != nil || !ok || got != want {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, err := table.Lookup(netip.IPv6Loopback()); err != nil || ok {
		t.Errorf("a key that is not there: %v, %v", ok, err)
	}
}

func TestLongestPrefix(t *testing.T) {
	table := makeTable(t, bpf.VethwayMapAddresses, 100, addressesWire())
	want := map[netip.Prefix]Address{
		netip.MustParsePrefix("172.30.1.0/24"):  {Kind: AddressSubnet, Network: 1},
		netip.MustParsePrefix("172.30.1.1/32"):  {Kind: AddressLocal, Network: 1},
		netip.MustParsePrefix("fd00:1::/64"):    {Kind: AddressSubnet, Network: 1},
		netip.MustParsePrefix("fd00:1::1/128"):  {Kind: AddressLocal},
		netip.MustParsePrefix("127.0.0.0/8"):    {Kind: AddressLocal},
		netip.MustParsePrefix("2001:db8::/127"): {Kind: AddressSubnet, Network: 2},
	}
	for k, v := range want {
		if err := table.Update([]Entry[netip.Prefix, Address]{{k, v}}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := table.Load()
	if err != nil || len(all) != len(want) {
		t.Fatalf("%v, %v", all, err)
	}
	for k, v := range want {
		if all[k] != v {
			t.Errorf("%s: %+v, want %+v", k, all[k], v)
		}
	}
	for addr, kind := range map[string]AddressKind{
		"172.30.1.1": AddressLocal, "172.30.1.2": AddressSubnet, "fd00:1::2": AddressSubnet, "127.1.2.3": AddressLocal,
		"192.0.2.1": AddressUnknown, "::ac1e:101": AddressUnknown,
	} {
		a := netip.MustParseAddr(addr)
		got, _, err := table.Lookup(netip.PrefixFrom(a, a.BitLen()))
		if err != nil || got.Kind != kind {
			t.Errorf("%s: %+v, %v, want kind %d", addr, got, err, kind)
		}
	}
	if err := table.Delete([]netip.Prefix{netip.MustParsePrefix("172.30.1.1/32"), netip.MustParsePrefix("9.9.9.9/32")}); err != nil {
		t.Fatal(err)
	}
	if all, err := table.Load(); err != nil || len(all) != len(want)-1 {
		t.Errorf("%v, %v", all, err)
	}
}

// While others write, whatever stays is seen exactly once.
func TestReadUnderChange(t *testing.T) {
	table := makeTable(t, bpf.VethwayMapEndpoints, 30_000, endpointsWire())
	if err := table.Update(manyEndpoints(10_000)); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		var coming []Entry[netip.Addr, Endpoint]
		var going []netip.Addr
		for i := range 5000 {
			k, v := endpointAt(20_000 + i)
			coming, going = append(coming, Entry[netip.Addr, Endpoint]{k, v}), append(going, k)
		}
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := errors.Join(table.Update(coming), table.Delete(going)); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 20 {
		seen := make(map[uint32]int)
		err := table.Each(func(_ netip.Addr, e Endpoint) bool {
			seen[e.Index]++
			return true
		})
		if err != nil {
			t.Error(err)
		}
		for i := range uint32(10_000) {
			if seen[i] != 1 {
				t.Fatalf("entry %d was seen %d times", i, seen[i])
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A bucket that is larger than the buffer must not end the scan: the buffer grows.
func TestSmallBuffer(t *testing.T) {
	table := makeTable(t, bpf.VethwayMapEndpoints, 4096, endpointsWire())
	if err := table.Update(manyEndpoints(4096)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := scanFrom(table.m, 1, func(keys []bpf.VethwayAddr, _ []bpf.VethwayEndpointValue) bool {
		seen += len(keys)
		return true
	})
	if err != nil || seen != 4096 {
		t.Errorf("%d entries, %v", seen, err)
	}
}

func TestStopReading(t *testing.T) {
	table := makeTable(t, bpf.VethwayMapEndpoints, 100, endpointsWire())
	if err := table.Update(manyEndpoints(50)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := table.Each(func(netip.Addr, Endpoint) bool {
		seen++
		return seen < 10
	})
	if err != nil || seen != 10 {
		t.Errorf("%d entries, %v", seen, err)
	}
}

// BenchmarkPublished writes and deletes as many entries as ten thousand ports of both families have: in the map as it is, and in one that
// has its memory beforehand.
func BenchmarkPublished(b *testing.B) {
	entries, keys := make([]Entry[PublishedKey, PublishedPort], 20_000), make([]PublishedKey, 20_000)
	for i := range entries {
		addr := [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[i%2]
		keys[i] = PublishedKey{Addr: netip.AddrPortFrom(addr, uint16(10_000+i/2)), Proto: 6}
		entries[i].Key = keys[i]
	}
	for name, change := range map[string]func(*ebpf.MapSpec){
		"as it is": func(*ebpf.MapSpec) {}, "allocated": func(spec *ebpf.MapSpec) { spec.Flags &^= unix.BPF_F_NO_PREALLOC },
	} {
		b.Run(name, func(b *testing.B) {
			table := changedTable(b, bpf.VethwayMapPublished, publishedWire(), change)
			for b.Loop() {
				if err := errors.Join(table.Update(entries), table.Delete(keys)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
