// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// Many containers' packets at once, to one destination, with fewer ports than
// they ask for, while sessions are collected and containers come and go: no two
// live flows ever have one external tuple, and no half of a session is left.
func TestAllocatorConcurrency(t *testing.T) {
	eachFamily(t, knobs{poolFirst: 2048, poolLast: 2048 + 255}, func(t *testing.T, f family) {
		f.covers(t, "N02")
		for _, proto := range []byte{tcp, udp, f.icmpProto()} {
			t.Run(fmt.Sprintf("protocol %d", proto), func(t *testing.T) {
				f.clear(t)
				s := &storm{family: f, proto: proto, t: t, before: f.drops(t)}
				s.rage(700 * time.Millisecond)
				s.settle()
			})
		}
	})
}

// storm is what goes on at the same time.
type storm struct {
	family
	t      *testing.T
	proto  byte
	before map[bpf.VethwayCounterKey]uint64 // drops

	generations [3]atomic.Uint32 // of c1, c2, d1
	passed      [8]map[string]int
	done        atomic.Bool
}

var stormy = []string{"c1", "c2", "d1"}

func (s *storm) rage(d time.Duration) {
	var wg sync.WaitGroup
	for i := range s.generations {
		s.generations[i].Store(generation)
	}
	begin := func(f func(i int) error) func(int) {
		return func(i int) {
			wg.Go(func() {
				// Each on a thread of its own inside the host.
				err := s.lab.host.Do(func() error {
					for !s.done.Load() {
						if err := f(i); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					s.t.Error(err)
				}
			})
		}
	}
	for i := range len(s.passed) {
		begin(s.send)(i)
	}
	begin(s.collect)(0)
	begin(s.replace)(0)
	time.Sleep(d)
	s.done.Store(true)
	wg.Wait()
}

// packet is one of a few hundred that a container sends.
func (s *storm) packet() (string, packet) {
	name := stormy[rand.IntN(len(stormy))]
	// Half of the ports lie in the pool, where containers want the same ones.
	p := s.from(name, s.remote(), uint16(2048+rand.IntN(512)), 80)
	p.proto = s.proto
	if p.proto == s.icmpProto() {
		p = s.ping(p, p.sport)
	}
	return name, p
}

func (s *storm) send(i int) error {
	name, p := s.packet()
	r, err := run(s.FromContainer, p.bytes(), s.at(name))
	if err != nil {
		return err
	}
	if s.passed[i] == nil {
		s.passed[i] = map[string]int{}
	}
	s.passed[i][verdictName(r.verdict)]++
	return nil
}

// collect does what the daemon does with idle flows, without waiting for it.
func (s *storm) collect(int) error {
	var k flowKey
	var v flowValue
	it := s.Flows.Iterate()
	for n := 0; n < 20 && it.Next(&k, &v); n++ {
		if v.Flags&1 != 0 {
			continue
		}
		pair := pairKey(k, v)
		var reply flowValue
		if s.Flows.Lookup(pair, &reply) != nil {
			continue
		}
		args := bpf.VethwayGcArgs{Key: k, Reverse: pair, Seen: v.Seen, ReverseSeen: reply.Seen}
		if _, err := s.GC.Run(&ebpf.RunOptions{Context: args}); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return err
	}
	time.Sleep(time.Millisecond)
	return nil
}

// replace gives a container's addresses to a new container.
func (s *storm) replace(int) error {
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	i := rand.IntN(len(stormy))
	return s.renew(stormy[i], s.generations[i].Add(1))
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

// settle judges what is left.
func (s *storm) settle() {
	t := s.t
	flows := s.flows(t)
	live := map[flowKey]flowValue{}
	for k, v := range flows {
		if s.live(t, v.Slot, v.Generation) {
			live[k] = v
		}
	}
	external := map[flowKey]flowKey{}
	for k, v := range live {
		pair, ok := live[pairKey(k, v)]
		if !ok {
			t.Errorf("half a session: %s", describeFlow(k, v))
			continue
		}
		if back := pairKey(pairKey(k, v), pair); back != k {
			t.Errorf("two sessions share a tuple: %s, whose other half is %s", describeFlow(k, v), describeFlow(pairKey(k, v), pair))
		}
		if v.Flags&1 == 0 {
			if other, taken := external[pairKey(k, v)]; taken {
				t.Errorf("%v and %v have one external tuple", other, k)
			}
			external[pairKey(k, v)] = k
		}
	}
	s.judgeBindings(t)
	total := map[string]int{}
	for _, p := range s.passed {
		for verdict, n := range p {
			total[verdict] += n
		}
	}
	var dropped int
	for _, n := range s.dropsSince(t, s.before) {
		dropped += int(n)
	}
	// Some are told, by the packet itself.
	if told := dropped - total["drop"]; told < 0 || told > total["redirect"]/10 {
		t.Errorf("%d drops counted, %d packets dropped", dropped, total["drop"])
	}
	t.Logf("%v, %d sessions live, %d entries in all", total, len(external), len(flows))
	if total["redirect"] == 0 || total["drop"] == 0 || total["next"] != 0 {
		t.Errorf("verdicts %v: too few packets to prove anything, or some that leave the path", total)
	}
}

// pairKey is the key of the other half of a session.
func pairKey(k flowKey, v flowValue) flowKey {
	return flowKey{Src: v.N_dst, Dst: v.N_src, Sport: v.N_dport, Dport: v.N_sport, Proto: k.Proto}
}
