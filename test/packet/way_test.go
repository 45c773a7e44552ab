// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

const (
	waysLen = 4096
	wayBits = 20 // of a generation
	waySet  = 4  // places that a next hop may have
)

// wayAt takes a flow's way apart.
func wayAt(v flowValue) (index, generation uint32) { return v.Way >> wayBits, v.Way & (1<<wayBits - 1) }

// way is that of the flow that a packet belongs to, which must have one.
func (w *world) way(t testing.TB, p packet) bpf.VethwayWayValue {
	t.Helper()
	var way bpf.VethwayWayValue
	index, generation := wayAt(w.flow(t, p))
	check(t, w.Ways.Lookup(index, &way))
	if generation == 0 || way.Generation != generation {
		t.Errorf("place %d has generation %d, the flow from %s:%d to %s:%d %d", index, way.Generation, p.src, p.sport, p.dst, p.dport, generation)
	}
	return way
}

func (w *world) ways(t testing.TB) map[uint32]bpf.VethwayWayValue {
	t.Helper()
	table, err := newTable[uint32, bpf.VethwayWayValue](w.Ways)
	check(t, err)
	return table.now
}

// putWays writes every place; a place that it says nothing of is empty.
func (w *world) putWays(t testing.TB, of func(index uint32) bpf.VethwayWayValue) {
	t.Helper()
	keys, values := make([]uint32, waysLen), make([]bpf.VethwayWayValue, waysLen)
	for i := range keys {
		keys[i] = uint32(i)
		values[i] = of(uint32(i))
	}
	_, err := w.Ways.BatchUpdate(keys, values, nil)
	check(t, err)
}

func (w *world) forgetWays(t testing.TB) {
	t.Helper()
	w.putWays(t, func(uint32) bpf.VethwayWayValue { return bpf.VethwayWayValue{} })
}

// opened is a session of c1's, to be sent by again.
func (f family) opened(t *testing.T, sport, dport uint16) (again step) {
	t.Helper()
	out := f.from("c1", f.remote(), sport, dport)
	sent := out
	sent.src = f.host()
	again = step{prog: f.FromContainer, in: out, ctx: f.at("c1"), verdict: redirect, out: outOf(sent), flows: 2}
	f.run(t, "first", again)
	again.flows = 0
	return again
}

// Flows to one next hop share its way, and the MAC addresses that somebody has learnt for it.
func TestFlowsShareAWay(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		one, two := f.opened(t, 5000, 80), f.opened(t, 5001, 81)
		if a, b := f.flow(t, one.in).Way, f.flow(t, two.in).Way; a != b {
			t.Errorf("ways %#x and %#x", a, b)
		}
		used := 0
		for _, way := range f.ways(t) {
			if way.Generation != 0 {
				used++
			}
		}
		if way := f.way(t, one.in); used != 1 || way.Seen != 0 || way.Mtu != 1500 || way.Routes != 1 {
			t.Errorf("%d places are used; %+v", used, way)
		}
		index, _ := wayAt(f.flow(t, one.in))
		learnt := [2]mac{{2, 0, 0, 0, 1, 1}, {2, 0, 0, 0, 1, 2}}
		// What holds for this second, as the programs have it, may be over when the packet comes.
		for try := 0; ; try++ {
			f.run(t, "what second it is", one)
			now := f.flow(t, one.in).Seen
			way := f.way(t, one.in)
			way.Dmac, way.Smac, way.Seen = learnt[0], learnt[1], now
			check(t, f.Ways.Put(index, way))
			r, err := run(f.FromContainer, two.in.bytes(), two.ctx)
			check(t, err)
			if f.flow(t, two.in).Seen != now && try < 5 {
				continue
			}
			sent := *two.out
			sent.dstMAC, sent.srcMAC = learnt[0], learnt[1]
			f.compare(t, "by the MAC addresses of the way", two.in.bytes(), step{in: two.in, verdict: redirect, out: &sent}, r)
			break
		}
	})
}

// A way that others have taken over is no flow's of before: these look for their route again, and never send to that next hop.
func TestWayIsTakenOver(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D28")
		again := f.opened(t, 5000, 80)
		before := f.flow(t, again.in).Way
		index, generation := wayAt(f.flow(t, again.in))
		other := bpf.VethwayWayValue{
			Generation: generation + 1, Routes: 1, Oif: f.uplinks["eth1"].ifindex, Mtu: 576, NextHop: toAddr(f.parse("198.51.100.3", "2001:db8:3::3")),
			Dmac: mac{2, 0, 0, 0, 9, 9}, Smac: mac{2, 0, 0, 0, 9, 8}, Seen: f.flow(t, again.in).Seen + 1,
		}
		check(t, f.Ways.Put(index, other))
		again.in.payload = make([]byte, 1000) // too big for the other
		again.out.payload = again.in.payload
		f.run(t, "after another has taken it", again)
		if way := f.way(t, again.in); way.Oif != f.uplinks["eth0"].ifindex || fromAddr(way.NextHop) != f.remote() || way.Mtu != 1500 {
			t.Errorf("the flow leaves by %+v", way)
		}
		if now := f.flow(t, again.in).Way; now == before {
			t.Errorf("the flow's way is %#x still", now)
		}
		// A generation that comes round begins with 1: 0 is that of no flow.
		way := f.way(t, again.in)
		way.Generation, way.Routes = 1<<wayBits-1, 0
		index, _ = wayAt(f.flow(t, again.in))
		check(t, f.Ways.Put(index, way))
		f.run(t, "after the last generation", again)
		if _, generation := wayAt(f.flow(t, again.in)); generation != 1 {
			t.Errorf("generation %d comes after the last one", generation)
		}
		f.run(t, "and again", again)
	})
}

// In a cache that is full, a next hop takes that place of its set which was seen longest ago.
func TestWaysAreFull(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.putWays(t, func(index uint32) bpf.VethwayWayValue {
			return bpf.VethwayWayValue{
				Generation: 41, Routes: 1, Oif: f.uplinks["eth1"].ifindex, Mtu: 1500, Seen: 100 - index%waySet,
				NextHop: toAddr(f.pick(netip.AddrFrom4([4]byte{198, 51, 100, byte(index)}), netip.MustParseAddr("2001:db8:3::7"))),
			}
		})
		again := f.opened(t, 5000, 80)
		index, generation := wayAt(f.flow(t, again.in))
		if index%waySet != waySet-1 || generation != 42 {
			t.Errorf("it took place %d of its set, generation %d", index%waySet, generation)
		}
		for i, way := range f.ways(t) {
			if way.Generation != 41 && i != index {
				t.Errorf("place %d has become %+v", i, way)
			}
		}
		if way := f.way(t, again.in); fromAddr(way.NextHop) != f.remote() || way.Oif != f.uplinks["eth0"].ifindex || way.Seen != 0 {
			t.Errorf("it leaves by %+v", way)
		}
		f.run(t, "again", again)
		if now, _ := wayAt(f.flow(t, again.in)); now != index {
			t.Errorf("it went from place %d to %d", index, now)
		}
	})
}

// A place that was never used comes before one whose next hop has not been seen yet: two new ones must not drive each other out.
func TestUnusedWaysComeFirst(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.putWays(t, func(index uint32) bpf.VethwayWayValue {
			if index%waySet == waySet-1 {
				return bpf.VethwayWayValue{}
			}
			return bpf.VethwayWayValue{
				Generation: 41, Routes: 1, Oif: f.uplinks["eth1"].ifindex, Mtu: 1500, NextHop: toAddr(f.parse("198.51.100.3", "2001:db8:3::3")),
			}
		})
		index, generation := wayAt(f.flow(t, f.opened(t, 5000, 80).in))
		if index%waySet != waySet-1 || generation != 1 {
			t.Errorf("it took place %d of its set, generation %d", index%waySet, generation)
		}
	})
}

// When routes may have changed, a flow asks again; the others that go the same way find that it has.
func TestWayAfterRoutesChanged(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "D28")
		one, two := f.opened(t, 5000, 80), f.opened(t, 5001, 81)
		before := f.flow(t, one.in).Way
		f.setGeneration(t, slotRoutes, 2)
		f.run(t, "one", one)
		if way := f.way(t, one.in); way.Routes != 2 || f.flow(t, one.in).Way == before {
			t.Errorf("its way is %+v, %#x", way, f.flow(t, one.in).Way)
		}
		if now := f.flow(t, two.in).Way; now != before {
			t.Errorf("the other's is %#x before it sends", now)
		}
		f.run(t, "the other", two)
		if a, b := f.flow(t, one.in).Way, f.flow(t, two.in).Way; a != b {
			t.Errorf("ways %#x and %#x", a, b)
		}
		f.setGeneration(t, slotRoutes, 1)
	})
}

// More packets than 32 bits count continue in front of the bytes.
func TestPacketsCarry(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		again := f.opened(t, 5000, 80)
		v := f.flow(t, again.in)
		length := uint64(len(again.in.bytes()) - ethLen)
		const carry = 1 << 56
		v.Packets, v.Bytes = 1<<32-2, 3*carry|1000
		check(t, f.Flows.Put(key(again.in), v))
		for _, want := range []struct {
			packets uint32
			bytes   uint64
		}{{1<<32 - 1, 3*carry | (1000 + length)}, {0, 4*carry | (1000 + 2*length)}, {1, 4*carry | (1000 + 3*length)}} {
			f.run(t, "again", again)
			if v := f.flow(t, again.in); v.Packets != want.packets || v.Bytes != want.bytes {
				t.Errorf("packets %#x, bytes %#x, want %#x, %#x", v.Packets, v.Bytes, want.packets, want.bytes)
			}
		}
	})
}

// Where a container is, its shortcut tells, or its endpoint where that has none; not the flow.
func TestContainerIsFound(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		s := f.publishedSession(t, f.inbound("eth0", f.remote(), f.host(), 40000, 8080), "c1", 80)
		into := step{prog: f.FromUplink, in: s.in, ctx: f.atUplink("eth0"), verdict: redirect, out: &s.delivered}
		good := f.endpointShortcut("c1")
		for name, change := range map[string]func(*bpf.VethwayShortcutValue){
			"it has no shortcut":            func(v *bpf.VethwayShortcutValue) { *v = bpf.VethwayShortcutValue{} },
			"somebody else has the place":   func(v *bpf.VethwayShortcutValue) { v.Addr.B[15]++; v.Mac[5]++ },
			"the place is of a gateway":     func(v *bpf.VethwayShortcutValue) { v.Kind = shortcutGateway; v.Mac[5]++ },
			"the shortcut is of one before": func(v *bpf.VethwayShortcutValue) { v.Generation--; v.Mac[5]++ },
		} {
			v := good
			change(&v)
			f.shortcut(t, f.container("c1"), v)
			f.run(t, name, into)
		}
		other := good
		other.Mac, other.BridgeMac = mac{2, 0, 0, 0, 7, 7}, mac{2, 0, 0, 0, 7, 8}
		f.shortcut(t, f.container("c1"), other)
		moved := s.delivered
		moved.dstMAC, moved.srcMAC = other.Mac, other.BridgeMac
		by := into
		by.out = &moved
		f.run(t, "the shortcut says other MAC addresses", by)
		f.shortcut(t, f.container("c1"), bpf.VethwayShortcutValue{})
		check(t, f.Endpoints.Delete(toAddr(f.container("c1"))))
		f.run(t, "it is nowhere", step{prog: f.FromUplink, in: s.in, ctx: f.atUplink("eth0"), verdict: drop, hook: atUplink,
			reason: bpf.VethwayDropReasonDROP_UNKNOWN_ENDPOINT})
	})
}
