// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vethway/vethway/bpf"
)

var proofTime = flag.Duration("proof", 4*time.Second, "how long TestAllocatorProof goes on")

const (
	proofPool   = 512 // NAT ports
	proofQuota  = 150 // sessions of a container, every second round
	proofRound  = 2 * time.Second
	proofOthers = 1500 // new sessions that are tried when no port is left
)

// Many containers' packets at once, on all CPUs, with fewer ports than they ask
// for, while sessions are collected, containers come and go, ports are published
// and not, and the address to leave with changes: no two live sessions ever have
// one external tuple, no half of a session outlives a collection, and whatever
// is counted adds up. make proof does it for ten minutes.
func TestAllocatorProof(t *testing.T) {
	var sum tally
	begin := time.Now()
	eachFamily(t, knobs{poolFirst: 2048, poolLast: 2048 + proofPool - 1, flows: 1 << 15, others: 1 << 13}, func(t *testing.T, f family) {
		f.covers(t, "N02", "N07")
		for _, proto := range []byte{tcp, udp, f.icmpProto()} {
			t.Run(fmt.Sprintf("protocol %d", proto), func(t *testing.T) {
				ends := time.Now().Add(*proofTime / 6)
				for round := 0; round == 0 || time.Now().Before(ends) && !t.Failed(); round++ {
					s := &storm{family: f, proto: proto, t: t, limited: round%2 == 1}
					s.begin()
					check(t, s.lab.host.Do(func() error { s.fill(); return nil }))
					s.rage(min(proofRound, *proofTime/12))
					s.settle()
					sum.add(&s.tally)
				}
				t.Logf("%s so far: %s", time.Since(begin).Round(time.Second), &sum)
			})
		}
	})
}

// tally is what was done.
type tally struct {
	packets, allocated, denied, collected, replaced, halves, fullest atomic.Int64
}

func (s *tally) add(o *tally) {
	s.packets.Add(o.packets.Load())
	s.allocated.Add(o.allocated.Load())
	s.denied.Add(o.denied.Load())
	s.collected.Add(o.collected.Load())
	s.replaced.Add(o.replaced.Load())
	s.halves.Add(o.halves.Load())
	s.fullest.Add(o.fullest.Load())
}

func (s *tally) String() string {
	return fmt.Sprintf("%d packets, %d sessions made, %d refused, %d collected, %d times somebody or something was replaced, "+
		"%d halves left behind and collected, %d times no port was left", s.packets.Load(), s.allocated.Load(), s.denied.Load(),
		s.collected.Load(), s.replaced.Load(), s.halves.Load(), s.fullest.Load())
}

// enough tells whether all of it was done at least a few times.
func (s *tally) enough() bool {
	return s.allocated.Load() > 2*proofPool && s.collected.Load() > 100 && s.replaced.Load() > 3
}

// storm is what goes on at the same time.
type storm struct {
	family
	tally
	t       *testing.T
	proto   byte
	limited bool // by quota
	before  map[bpf.VethwayCounterKey]uint64
	slots   [2]uint32 // of the published ports

	generations sync.Map // of containers and slots: the last one that was given
	done        atomic.Bool
}

var stormy = []string{"c1", "c2", "d1"}

func (s *storm) begin() {
	t := s.t
	s.clear(t)
	for _, name := range stormy {
		check(t, s.renew(name, generation))
	}
	s.slots[0] = s.publish(t, published{port: 8080, target: "c1", targetPort: 80})
	s.slots[1] = s.publish(t, published{port: 8081, target: "c1", targetPort: 80})
	settings := bpf.VethwaySettingsValue{}
	if s.limited {
		settings.MaxFlows = proofQuota
	}
	check(t, s.Settings.Put(uint32(0), settings))
	s.before = s.drops(t)
}

// out is a packet of a new session, most probably, from a container to one of
// so many peers. Some want a port that lies in the pool; some are of sessions
// that all CPUs send in.
func (s *storm) out(peers int) (string, packet) {
	name := stormy[rand.IntN(len(stormy))]
	port := uint16(1 + rand.IntN(65535))
	switch rand.IntN(8) {
	case 0, 1:
		port = uint16(2048 + rand.IntN(proofPool))
	case 2, 3:
		port = uint16(40000 + rand.IntN(2))
	}
	p := s.from(name, s.peer(rand.IntN(peers)), port, 80)
	p.proto = s.proto
	if p.proto == s.icmpProto() {
		p = s.ping(p, p.sport)
	}
	return name, p
}

// send sends one packet out of a container, and now and then a second one of the
// same session.
func (s *storm) send() error {
	name, p := s.out(3)
	if err := s.sendOut(name, p); err != nil || rand.IntN(8) > 0 {
		return err
	}
	return s.sendOut(name, p)
}

func (s *storm) sendOut(name string, p packet) error {
	r, err := run(s.FromContainer, p.bytes(), s.at(name))
	if err != nil {
		return err
	}
	// What is for a port that is not published just now is the host's.
	if r.verdict == next && p.dst != s.host() {
		return fmt.Errorf("%s:%d to %s:%d leaves the path", p.src, p.sport, p.dst, p.dport)
	}
	s.note(r, p)
	return nil
}

// note counts what became of a packet.
func (s *storm) note(r result, p packet) {
	s.packets.Add(1)
	var v flowValue
	if r.verdict == redirect && s.Flows.Lookup(key(p), &v) == nil && v.Packets == 1 {
		s.allocated.Add(1)
	}
}

// ask sends a packet from outside to a port that may be published. Two ports lead
// to the same one, where the clients' ports meet.
func (s *storm) ask() error {
	proto := s.proto
	if proto == s.icmpProto() {
		proto = udp
	}
	p := s.inbound("eth0", s.peer(0), s.host(), uint16(50000+rand.IntN(400)), uint16(8080+rand.IntN(2)))
	p.proto = proto
	if rand.IntN(4) == 0 { // a hairpin
		name := stormy[rand.IntN(len(stormy))]
		p = s.from(name, s.host(), uint16(50000+rand.IntN(400)), p.dport)
		p.proto = proto
		return s.sendOut(name, p)
	}
	r, err := run(s.FromUplink, p.bytes(), s.atUplink("eth0"))
	if err != nil {
		return err
	}
	s.note(r, p)
	return nil
}

// replace gives a container's addresses to a new one, or a published port to a
// new owner, or has all routes looked up again.
func (s *storm) replace() error {
	time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	s.replaced.Add(1)
	switch n := rand.IntN(6); n {
	case 0, 1, 2:
		return s.renew(stormy[n], s.nextGeneration(stormy[n]))
	case 3, 4:
		return s.republish(uint16(8080+n-3), s.slots[n-3])
	}
	return s.Generations.Put(uint32(slotRoutes), s.nextGeneration("routes"))
}

func (s *storm) nextGeneration(of any) uint32 {
	n, _ := s.generations.LoadOrStore(of, new(atomic.Uint32))
	return generation + n.(*atomic.Uint32).Add(1)
}

// republish takes a port back, and publishes it again under a new generation.
func (s *storm) republish(port uint16, slot uint32) error {
	generation := s.nextGeneration(slot)
	if err := s.Generations.Put(slot, generation); err != nil {
		return err
	}
	proto := s.proto
	if proto == s.icmpProto() {
		proto = udp
	}
	k := bpf.VethwayPublishedKey{Addr: toAddr(s.parse("0.0.0.0", "::")), Port: wire(port), Proto: proto}
	var v bpf.VethwayPublishedValue
	if err := s.Published.Lookup(k, &v); err != nil {
		return err
	}
	v.Generation = generation
	return errors.Join(s.Published.Delete(k), s.Published.Put(k, v))
}

// leave changes the address that packets leave with: the sessions of the other
// one end.
func (s *storm) leave() error {
	time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
	s.replaced.Add(1)
	source := s.host()
	if rand.IntN(2) == 0 {
		source = s.parse(preferred4.String(), preferred6.String())
	}
	if err := s.lab.host.ReplaceRoute(s.peerRoute(source)); err != nil {
		return err
	}
	return s.Generations.Put(uint32(slotRoutes), s.nextGeneration("routes"))
}

// rage lets all of it go on at once.
func (s *storm) rage(d time.Duration) {
	var wg sync.WaitGroup
	begin := func(f func() error) {
		wg.Go(func() {
			// Each on a thread of its own inside the host.
			err := s.lab.host.Do(func() error {
				for !s.done.Load() {
					if err := f(); err != nil {
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
	for range 2 * runtime.NumCPU() {
		begin(s.send)
	}
	for range runtime.NumCPU() {
		begin(s.collector())
		begin(s.ask)
	}
	begin(s.replace)
	begin(s.leave)
	begin(s.halve())
	// On a busy machine until something has happened that can be judged.
	for begin := time.Now(); time.Since(begin) < d || !s.enough() && time.Since(begin) < time.Minute; {
		time.Sleep(d / 8)
	}
	s.done.Store(true)
	wg.Wait()
	check(s.t, s.lab.host.DelRoute(s.peerRoute(netip.Addr{})))
}
