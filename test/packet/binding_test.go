// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// external sends a container's packet out and returns the port that it got.
func (f family) external(t *testing.T, container string, p packet) uint16 {
	t.Helper()
	r, err := run(f.FromContainer, p.bytes(), f.at(container))
	check(t, err)
	if r.verdict != redirect {
		t.Fatalf("verdict %s, drops %v", verdictName(r.verdict), f.drops(t))
	}
	return wire(f.flow(t, p).N_sport)
}

// UDP and ping have one external port for each internal one, whatever the
// destination; TCP may have another for each.
func TestEndpointIndependentMapping(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N01")
		elsewhere := f.parse("192.0.2.4", "2001:db8:2::4")
		for _, proto := range []byte{udp, f.icmpProto()} {
			f.clear(t)
			from := func(container string, sport uint16) packet {
				p := f.from(container, f.remote(), sport, 80)
				p.proto = proto
				if proto == f.icmpProto() {
					p = f.ping(p, sport)
				}
				return p
			}
			for _, sport := range []uint16{5000, 50000} {
				one := from("c1", sport)
				got := f.external(t, "c1", one)
				if sport == 5000 && got != sport {
					t.Errorf("protocol %d: port %d became %d", proto, sport, got)
				}
				other := one
				other.dst = elsewhere
				if proto == udp {
					other.dport = 53
				}
				if again := f.external(t, "c1", other); again != got {
					t.Errorf("protocol %d: port %d became %d, and %d to another destination", proto, sport, got, again)
				}
				// By way of the stack too.
				other.dst = f.parse("192.0.2.5", "2001:db8:2::5")
				sent := other
				sent.src, sent.sport = f.host(), got
				f.run(t, "by the stack", step{prog: f.ToUplink, in: other, ctx: f.forwarded("eth0", "c1"), verdict: next, out: &sent, flows: 2})
				// Nobody else gets it, wherever he sends.
				theirs := from("c2", got)
				theirs.dst = f.parse("192.0.2.6", "2001:db8:2::6")
				if their := f.external(t, "c2", theirs); their == got {
					t.Errorf("protocol %d: both containers have port %d", proto, got)
				}
			}
		}
	})
}

// A binding goes with its container, and when nothing hangs on it any more.
func TestBindingEnds(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N01", "N02")
		p := f.from("c1", f.remote(), 5000, 80)
		p.proto = udp
		theirs := f.from("c2", f.remote(), 5000, 80)
		theirs.proto = udp
		f.external(t, "c1", p)
		if got := f.external(t, "c2", theirs); got == 5000 {
			t.Error("both have the port")
		}
		f.clear(t)
		f.external(t, "c1", p)
		f.setGeneration(t, f.containers["c1"].slot, generation+1)
		if got := f.external(t, "c2", theirs); got != 5000 {
			t.Errorf("the port of a container that is gone: %d given instead", got)
		}
		f.setGeneration(t, f.containers["c1"].slot, generation)

		f.clear(t)
		f.external(t, "c1", p)
		inside := bpf.VethwayBindingKey{Addr: toAddr(p.src), Ext: toAddr(f.host()), Port: wire(5000), Proto: udp, Inside: 1}
		var v bpf.VethwayBindingValue
		check(t, f.Bindings.Lookup(inside, &v))
		for _, c := range []struct {
			name    string
			seen    uint32
			deleted uint32
			left    int
		}{{"used since", v.Seen - 1, 0, 2}, {"idle", v.Seen, 1, 0}, {"gone already", v.Seen, 0, 0}} {
			got, err := f.GCBinding.Run(&ebpf.RunOptions{Context: bpf.VethwayGcBindingArgs{Key: inside, Seen: c.seen}})
			check(t, err)
			if left := len(f.bindings(t)); got != c.deleted || left != c.left {
				t.Errorf("%s: returned %d, %d entries left, want %d and %d", c.name, got, left, c.deleted, c.left)
			}
		}
	})
}

func (w *world) bindings(t testing.TB) map[bpf.VethwayBindingKey]bpf.VethwayBindingValue {
	t.Helper()
	all := map[bpf.VethwayBindingKey]bpf.VethwayBindingValue{}
	var k bpf.VethwayBindingKey
	var v bpf.VethwayBindingValue
	it := w.Bindings.Iterate()
	for it.Next(&k, &v) {
		all[k] = v
	}
	check(t, it.Err())
	return all
}

// judgeBindings checks that an external port has one internal endpoint, and
// that the two entries of a binding speak of each other.
func (w *world) judgeBindings(t testing.TB) {
	t.Helper()
	all := w.bindings(t)
	for k, v := range all {
		if k.Inside == 0 || !w.live(t, v.Slot, v.Generation) {
			continue
		}
		outside := bpf.VethwayBindingKey{Addr: k.Ext, Port: v.Port, Proto: k.Proto}
		other, ok := all[outside]
		if !ok || other.Addr != k.Addr || other.Port != k.Port {
			t.Errorf("%s:%d is bound to port %d, whose owner is %s:%d", fromAddr(k.Addr), wire(k.Port), wire(v.Port),
				fromAddr(other.Addr), wire(other.Port))
		}
	}
	for k, v := range all {
		if k.Inside == 1 || !w.live(t, v.Slot, v.Generation) {
			continue
		}
		inside := bpf.VethwayBindingKey{Addr: v.Addr, Ext: k.Addr, Port: v.Port, Proto: k.Proto, Inside: 1}
		if other, ok := all[inside]; !ok || other.Port != k.Port {
			t.Errorf("port %d is held for %s:%d, which has %d", wire(k.Port), fromAddr(v.Addr), wire(v.Port), wire(other.Port))
		}
	}
}

// live tells whether what was made for a generation of a slot still counts.
func (w *world) live(t testing.TB, slot, generation uint32) bool {
	t.Helper()
	var now uint32
	if slot >= w.Generations.MaxEntries() {
		return false // about to be deleted
	}
	check(t, w.Generations.Lookup(slot, &now))
	return now == generation
}
