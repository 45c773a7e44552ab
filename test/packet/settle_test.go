// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/test/netlab"
)

// peer is one of a few hosts outside, behind one route.
func (s *storm) peer(i int) netip.Addr {
	a := s.parse("203.0.113.16", "2001:db8:9::10")
	for range i {
		a = a.Next()
	}
	return a
}

func (s *storm) peerRoute(source netip.Addr) netlab.Route {
	bits := 28
	if s.six {
		bits = 124
	}
	return netlab.Route{Dst: netip.PrefixFrom(s.peer(0), bits).Masked(), Via: s.remote(), Dev: "eth0", Src: source}
}

// fill takes every port there is for one peer, and sees that nobody gets one more.
func (s *storm) fill() {
	t := s.t
	check(t, s.lab.host.ReplaceRoute(s.peerRoute(s.host())))
	want, deadline := proofPool, 400*proofPool
	if s.limited {
		want = min(want, len(stormy)*proofQuota)
	}
	taken := func() int {
		external := map[uint16]bool{}
		for k, v := range s.flows(t) {
			if k.Proto == s.proto && v.Flags&(flowReply|flowNATSource) == flowNATSource {
				external[v.N_sport] = true
			}
		}
		return len(external)
	}
	for i := 0; taken() < want; {
		for range 200 {
			check(t, s.sendOut(s.out(1)))
		}
		if i += 200; i > deadline {
			t.Fatalf("%d of %d ports are taken after %d packets", taken(), want, i)
		}
	}
	s.fullest.Add(1)
	before := len(s.flows(t))
	for range proofOthers {
		check(t, s.sendOut(s.out(1)))
	}
	if got := s.flows(t); len(got) != before && s.proto == tcp {
		t.Errorf("%d entries when all ports are taken, and %d later", before, len(got))
	}
	if n := taken(); n != want {
		t.Errorf("%d ports are taken, there are %d", n, want)
	}
}

// collector does what the daemon does with idle sessions, without waiting for
// them to be.
func (s *storm) collector() func() error {
	scan := s.scanner(256)
	return func() error {
		return scan(func(k flowKey, v flowValue) error {
			pair := pairKey(k, v)
			var reply flowValue
			if v.Flags&flowReply != 0 || rand.IntN(3) > 0 || s.Flows.Lookup(pair, &reply) != nil {
				return nil
			}
			return s.gc(k, pair, v.Seen, reply.Seen)
		})
	}
}

func (s *storm) gc(k, pair flowKey, seen, replySeen uint32) error {
	args := bpf.VethwayGcArgs{Key: k, Reverse: pair, Seen: seen, ReverseSeen: replySeen}
	gone, err := s.GC.Run(&ebpf.RunOptions{Context: args})
	s.collected.Add(int64(gone))
	return err
}

// halve deletes an answering entry now and then, as nobody should: what is left
// is half a session, which the collection is to find.
func (s *storm) halve() func() error {
	scan := s.scanner(32)
	return func() error {
		time.Sleep(time.Millisecond)
		return scan(func(k flowKey, v flowValue) error {
			if v.Flags&flowReply == 0 || rand.IntN(32) > 0 {
				return nil
			}
			if err := s.Flows.Delete(k); !errors.Is(err, ebpf.ErrKeyNotExist) {
				return err
			}
			return nil
		})
	}
}

// scanner goes through the flow table.
func (s *storm) scanner(size int) func(func(flowKey, flowValue) error) error {
	return s.Flows.scanner(s.six, size)
}

// settle collects once what is over or half, and judges what is left.
func (s *storm) settle() {
	t := s.t
	flows := s.flows(t)
	now := uint32(0)
	for _, v := range flows {
		now = max(now, v.Seen)
	}
	for k, v := range flows {
		pair := pairKey(k, v)
		reply, whole := flows[pair]
		whole = whole && pairKey(pair, reply) == k
		switch {
		case !whole:
			s.halves.Add(1)
			if s.live(t, v.Slot, v.Generation) {
				v.Seen = now - 5 // nobody is making it any more
				check(t, s.Flows.Put(k, v))
			}
			check(t, s.gc(k, pair, v.Seen, 0))
		case v.Flags&flowReply == 0 && !s.live(t, v.Slot, v.Generation):
			check(t, s.gc(k, pair, v.Seen, reply.Seen))
		}
	}
	flows = s.flows(t)
	for k, v := range flows {
		if !s.live(t, v.Slot, v.Generation) {
			t.Errorf("over, but not collected: %s", describeFlow(k, v))
		}
		pair := pairKey(k, v)
		reply, ok := flows[pair]
		if !ok {
			t.Errorf("half a session: %s", describeFlow(k, v))
		} else if pairKey(pair, reply) != k {
			t.Errorf("two sessions share a tuple: %s, whose other half is %s", describeFlow(k, v), describeFlow(pair, reply))
		}
	}
	s.judgeBindings(t)
	s.judgeCounts(flows)
	for k, n := range s.dropsSince(t, s.before) {
		switch k.Reason {
		case bpf.VethwayDropReasonDROP_NO_PORT, bpf.VethwayDropReasonDROP_TABLE_FULL, bpf.VethwayDropReasonDROP_QUOTA:
			s.denied.Add(int64(n))
		}
	}
	if !s.enough() || s.denied.Load() == 0 {
		t.Errorf("%s: too little to prove anything", &s.tally)
	}
}

// judgeCounts compares what is counted for each port and container with the
// sessions that there are.
func (s *storm) judgeCounts(flows map[flowKey]flowValue) {
	t := s.t
	want := s.countsOf(flows)
	n := s.PortFlows.MaxEntries()
	keys, counted := make([]uint32, n), make([]uint32, n)
	var cursor ebpf.MapBatchCursor
	if _, err := s.PortFlows.BatchLookup(&cursor, keys, counted, nil); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Fatal(err)
	}
	for i, index := range keys {
		if counted[i] != want.ports[index] {
			t.Errorf("port %d of table %d counts %d sessions, but has %d", index&0xffff, index>>16, counted[i], want.ports[index])
		}
	}
	for _, name := range stormy {
		slot := s.containers[name].slot
		var q bpf.VethwayQuotaValue
		check(t, s.Quotas.Lookup(slot, &q))
		if q.Flows != want.owners[slot] {
			t.Errorf("%s counts %d sessions, but has %d", name, q.Flows, want.owners[slot])
		}
		// CPUs that look at the same time may each take the last one.
		if most := uint32(proofQuota + runtime.NumCPU()); s.limited && q.Flows > most {
			t.Errorf("%s has %d sessions, and may have %d", name, q.Flows, most)
		}
	}
}

// pairKey is the key of the other half of a session.
func pairKey(k flowKey, v flowValue) flowKey {
	return flowKey{Src: v.N_dst, Dst: v.N_src, Sport: v.N_dport, Dport: v.N_sport, Proto: k.Proto}
}

// renew gives a container's addresses to a new container.
func (w *world) renew(name string, generation uint32) error {
	c := w.containers[name]
	var veth bpf.VethwayVethValue
	if err := w.Veths.Lookup(c.ifindex, &veth); err != nil {
		return err
	}
	veth.Generation = generation
	err := errors.Join(w.Generations.Put(c.slot, generation), w.Veths.Put(c.ifindex, veth))
	for _, a := range []bpf.VethwayAddr{toAddr(c.addr4), toAddr(c.addr6)} {
		var e bpf.VethwayEndpointValue
		if err := w.Endpoints.Lookup(a, &e); err != nil {
			return err
		}
		e.Generation = generation
		err = errors.Join(err, w.Endpoints.Put(a, e))
	}
	return err
}
