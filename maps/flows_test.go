// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

func makeFlows(t testing.TB, size uint32) *Flows {
	t.Helper()
	return &Flows{makeTable(t, bpf.VethwayMapFlows4, size, flows4Wire()), makeTable(t, bpf.VethwayMapFlows6, size, flows6Wire())}
}

func flowOf(src, dst string) (FlowKey, Flow) {
	k := FlowKey{Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), Proto: 6}
	return k, Flow{Src: k.Src, Dst: k.Dst, Slot: 3, Generation: 1, Packets: 1<<33 + 1, Bytes: 1 << 50}
}

// Both tables are one to who knows the key.
func TestFlowsOfBothFamilies(t *testing.T) {
	f := makeFlows(t, 16)
	four, flow4 := flowOf("10.0.0.1:1", "10.0.0.2:2")
	six, flow6 := flowOf("[2001:db8::1]:1", "[2001:db8::2]:2")
	if err := f.Update([]Entry[FlowKey, Flow]{{four, flow4}, {six, flow6}}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		table *FlowTable
		key   FlowKey
		want  Flow
	}{{f.IPv4, four, flow4}, {f.IPv6, six, flow6}} {
		if got, ok, err := f.Lookup(tc.key); err != nil || !ok || got != tc.want {
			t.Errorf("%v: %+v, %v, %v", tc.key, got, ok, err)
		}
		if all, err := tc.table.Load(); err != nil || len(all) != 1 || all[tc.key] != tc.want {
			t.Errorf("%s: %v, %v", tc.table.Name(), all, err)
		}
	}
	seen := 0
	if err := f.Each(func(FlowKey, Flow) bool { seen++; return false }); err != nil || seen != 1 {
		t.Errorf("told to stop at once, it went on to %d entries, %v", seen, err)
	}
	if err := f.Delete([]FlowKey{six, four}); err != nil {
		t.Fatal(err)
	}
	if all, err := f.Load(); err != nil || len(all) != 0 {
		t.Errorf("%d entries are left, %v", len(all), err)
	}
}

// One family's table may be full while the other's is not.
func TestFlowsFullByFamily(t *testing.T) {
	f := makeFlows(t, 1)
	one, flow := flowOf("10.0.0.1:1", "10.0.0.2:2")
	two, _ := flowOf("10.0.0.1:2", "10.0.0.2:2")
	if err := f.Update([]Entry[FlowKey, Flow]{{one, flow}, {two, flow}}); !errors.Is(err, ErrFull) {
		t.Errorf("the second of one: %v", err)
	}
	six, flow6 := flowOf("[2001:db8::1]:1", "[2001:db8::2]:2")
	if err := f.Update([]Entry[FlowKey, Flow]{{six, flow6}}); err != nil {
		t.Errorf("the other family: %v", err)
	}
}

func TestFlowsOfTwoFamilies(t *testing.T) {
	f := makeFlows(t, 16)
	good, flow := flowOf("10.0.0.1:1", "10.0.0.2:2")
	for _, bad := range []FlowKey{
		{Src: good.Src, Dst: netip.MustParseAddrPort("[2001:db8::2]:2"), Proto: 6},
		{Src: netip.MustParseAddrPort("[2001:db8::2]:2"), Dst: good.Dst, Proto: 6},
		{Src: good.Src, Proto: 6}, {},
	} {
		_, _, err := f.Lookup(bad)
		for what, err := range map[string]error{
			"look up": err, "update": f.Update([]Entry[FlowKey, Flow]{{good, flow}, {bad, flow}}), "delete": f.Delete([]FlowKey{good, bad}),
		} {
			if !errors.Is(err, ErrBadKey) {
				t.Errorf("%s %v: %v", what, bad, err)
			}
		}
	}
	flow.Dst = netip.MustParseAddrPort("[2001:db8::2]:2")
	if err := f.Update([]Entry[FlowKey, Flow]{{good, flow}}); !errors.Is(err, ErrBadKey) {
		t.Errorf("rewritten to another family: %v", err)
	}
	if all, err := f.Load(); err != nil || len(all) != 0 {
		t.Errorf("%v were written, %v", all, err)
	}
}

// Packets have 40 bits, of which 8 are in front of the bytes.
func TestPacketsCarry(t *testing.T) {
	for _, tc := range []struct {
		packets, bytes uint64
		low            uint32
		high           uint64
	}{
		{0, 0, 0, 0},
		{1<<32 - 1, 1<<56 - 1, 1<<32 - 1, 1<<56 - 1},
		{1 << 32, 5, 0, 1<<56 | 5},
		{1<<40 - 1, 7, 1<<32 - 1, 0xff<<56 | 7},
	} {
		low, high := toCounts(tc.packets, tc.bytes)
		if low != tc.low || high != tc.high {
			t.Errorf("%d packets, %d bytes are written as %#x, %#x, want %#x, %#x", tc.packets, tc.bytes, low, high, tc.low, tc.high)
		}
		if packets, bytes := fromCounts(tc.low, tc.high); packets != tc.packets || bytes != tc.bytes {
			t.Errorf("%#x, %#x are read as %d packets, %d bytes, want %d, %d", tc.low, tc.high, packets, bytes, tc.packets, tc.bytes)
		}
	}
}

func TestWays(t *testing.T) {
	w := &Ways{makeTable(t, bpf.VethwayMapWays, wayPlaces, waysWire())}
	if all, err := w.Load(); err != nil || len(all) != 0 {
		t.Fatalf("never used: %v, %v", all, err)
	}
	want := Way{Generation: 3, Routes: 1, Oif: 2, MTU: 1500, NextHop: netip.MustParseAddr("192.0.2.1"), DMAC: MAC{2, 1}, Seen: 7}
	if err := w.table.Update([]Entry[uint32, Way]{{4095, want}}); err != nil {
		t.Fatal(err)
	}
	if all, err := w.Load(); err != nil || len(all) != 1 || all[4095] != want {
		t.Errorf("%v, %v", all, err)
	}
	for way, there := range map[uint32]bool{0: false, 4095<<20 | 3: true, 4095<<20 | 2: false, 4095 << 20: false, 5 << 20: false, 3: false} {
		got, ok, err := w.Of(way)
		if err != nil || ok != there || ok && got != want {
			t.Errorf("way %#x: %+v, %v, %v", way, got, ok, err)
		}
	}
}
