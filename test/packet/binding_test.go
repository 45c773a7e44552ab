// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
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

// TCP has bindings by option: then it maps, hairpins and filters as UDP does (RFC 5382 REQ-1, REQ-8).
func TestBoundTCP(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N01", "N05", "N06")
		f.clear(t)
		out, other := f.from("c1", f.remote(), 7001, 80), f.from("c2", f.remote(), 7001, 80)
		elsewhere := f.parse("192.0.2.4", "2001:db8:2::4")
		f.external(t, "c1", out)
		check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{Flags: uint32(maps.SettingBindTCP)}))
		defer func() { check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{})) }()
		if got := f.external(t, "c2", other); got == 7001 {
			t.Error("a session that is older than the option has lost its port")
		}
		f.clear(t)
		f.external(t, "c1", out)
		first := f.external(t, "c2", other)
		other.dst = elsewhere
		if again := f.external(t, "c2", other); again != first || again == 7001 {
			t.Errorf("port 7001 became %d, and %d to another destination", first, again)
		}
		stranger := f.inbound("eth0", elsewhere, f.host(), 6000, 7001)
		unsolicited := step{prog: f.FromUplink, in: stranger, ctx: f.atUplink("eth0"), verdict: drop,
			hook: atUplink, reason: bpf.VethwayDropReasonDROP_UNSOLICITED}
		f.run(t, "a stranger's SYN", unsolicited)
		data := stranger
		data.flags = ack
		f.anyRemote(t, "c1", true)
		f.run(t, "by one option alone", unsolicited)
		check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{Flags: uint32(maps.SettingAnyRemote | maps.SettingBindTCP)}))
		f.run(t, "a stranger's data", step{prog: f.FromUplink, in: data, ctx: f.atUplink("eth0"), verdict: next})
		into := stranger
		into.dst = f.container("c1")
		f.run(t, "a stranger's SYN, let in", step{prog: f.FromUplink, in: stranger, ctx: f.atUplink("eth0"), verdict: redirect, out: f.into("c1", into), flows: 2})
		toOther := f.inbound("eth0", elsewhere, f.host(), 6000, first)
		delivered := toOther
		delivered.dst, delivered.dport = f.container("c2"), 7001
		f.run(t, "to another container of the network", step{prog: f.FromUplink, in: toOther, ctx: f.atUplink("eth0"), verdict: redirect,
			out: f.into("c2", delivered), flows: 2})
		f.anyRemote(t, "c1", false)
	})
}

// Two containers that know each other's external endpoints connect at once.
func TestBoundTCPHairpin(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N06", "N11")
		f.clear(t)
		check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{Flags: uint32(maps.SettingBindTCP)}))
		defer func() { check(t, f.Settings.Put(uint32(0), bpf.VethwaySettingsValue{})) }()
		f.external(t, "c1", f.from("c1", f.remote(), 7001, 80))
		f.external(t, "d1", f.from("d1", f.remote(), 7002, 80))
		knock := f.from("d1", f.host(), 7002, 7001)
		f.run(t, "the first SYN", step{prog: f.FromContainer, in: knock, ctx: f.at("d1"), verdict: drop, hook: atContainer,
			reason: bpf.VethwayDropReasonDROP_FILTERED, flows: 2})
		reply := f.from("c1", f.host(), 7001, 7002)
		arrives := reply
		arrives.src, arrives.dst = f.host(), f.container("d1")
		f.run(t, "the other one's", step{prog: f.FromContainer, in: reply, ctx: f.at("c1"), verdict: redirect, out: f.into("d1", arrives)})
		open := knock
		open.src, open.dst = f.host(), f.container("c1")
		f.run(t, "the first, again", step{prog: f.FromContainer, in: knock, ctx: f.at("d1"), verdict: redirect, out: f.into("c1", open)})
		stray := f.from("c2", f.host(), 5000, 7001)
		stray.flags = ack
		f.run(t, "data that nobody expects", step{prog: f.FromContainer, in: stray, ctx: f.at("c2"), verdict: next})
	})
}

// A binding that rests lets nobody in, until its container sends again; one on which anything hangs does not rest.
func TestBindingThatRests(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "N05", "N16")
		f.clear(t)
		out := f.from("c1", f.remote(), 7001, 80)
		out.proto = udp
		f.external(t, "c1", out)
		f.anyRemote(t, "c1", true)
		defer f.anyRemote(t, "c1", false)
		port := uint16(6000)
		letsIn := func(when string, yes bool) {
			t.Helper()
			port++
			in := f.inbound("eth0", f.parse("192.0.2.4", "2001:db8:2::4"), f.host(), port, 7001)
			in.proto = udp
			s := step{prog: f.FromUplink, in: in, ctx: f.atUplink("eth0"), verdict: next}
			if yes {
				into := in
				into.dst = f.container("c1")
				s.verdict, s.out, s.flows = redirect, f.into("c1", into), 2
			}
			f.run(t, when, s)
		}
		inside := bpf.VethwayBindingKey{Addr: toAddr(out.src), Ext: toAddr(f.host()), Port: wire(7001), Proto: udp, Inside: 1}
		rest := func(since uint32) {
			t.Helper()
			var v bpf.VethwayBindingValue
			check(t, f.Bindings.Lookup(inside, &v))
			args := bpf.VethwayGcBindingArgs{Key: inside, Seen: v.Seen, Keep: 1, Rests: since}
			if ret, err := f.GCBinding.Run(&ebpf.RunOptions{Context: args}); err != nil || ret != 1 {
				t.Fatalf("returned %d, %v", ret, err)
			}
			args.Seen--
			if ret, err := f.GCBinding.Run(&ebpf.RunOptions{Context: args}); err != nil || ret != 0 {
				t.Errorf("used in the meantime: returned %d, %v", ret, err)
			}
		}
		letsIn("with a session", true)
		f.collectOne(t, out, false)
		letsIn("held by another's session alone", true)
		rest(1)
		letsIn("resting", false)
		rest(0)
		letsIn("woken", true)
		rest(1)
		out.dport = 81
		f.external(t, "c1", out)
		letsIn("its container has sent again", true)
	})
}

// collectOne deletes the session that a container began with a packet. If it retires, its port is not given to others.
func (f family) collectOne(t *testing.T, p packet, retires bool) {
	t.Helper()
	own := f.flow(t, p)
	pair := pairKey(key(p), own)
	var reply flowValue
	check(t, f.Flows.Lookup(pair, &reply))
	args := bpf.VethwayGcArgs{Key: key(p), Reverse: pair, Seen: own.Seen, ReverseSeen: reply.Seen, Retire: either[uint32](retires, 0, 1)}
	if ret, err := f.GC.Run(&ebpf.RunOptions{Context: args}); err != nil || ret != 1 {
		t.Fatalf("returned %d, %v", ret, err)
	}
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
