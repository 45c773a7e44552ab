// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"flag"
	"fmt"
	"io"
	gomaps "maps"
	"net"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

const (
	arenaFlows  = 1024 // entries in each flow table
	arenaOthers = 1024 // entries in the other tables that packets fill
	arenaQuota  = 60   // sessions that a container may have
)

// Of what fragments out of order are sent to, and what is too big.
var (
	detourMAC = mac{2, 0, 0, 0, 0, 9}
	cutterMAC = mac{2, 0, 0, 0, 0, 10}
)

// arena is a world with sessions of every kind. Whatever is sent through it, it
// is put back to what it was after a packet or a few, so that what they do can
// be judged, and done again.
type arena struct {
	*world
	memory *ebpf.Memory // of the marks
	marks  []byte
	work   chan func() // for a thread inside the host

	flows     *flowsTable
	bindings  *table[bpf.VethwayBindingKey, bpf.VethwayBindingValue]
	fragments *table[bpf.VethwayFragmentKey, bpf.VethwayFragmentValue]
	origins   *table[bpf.VethwayOriginKey, bpf.VethwayOriginValue]
	sources   *table[bpf.VethwayAddr, bpf.VethwaySourceValue]
	splices   *table[bpf.VethwaySpliceKey, bpf.VethwaySpliceValue]
	ways      *table[uint32, bpf.VethwayWayValue]
	sockets   []io.Closer
	renewed   bool // some container has another generation now
	tunMAC    mac
}

// One arena serves all fuzz targets: loading it takes seconds.
var theArena *arena

// inArena runs f on a thread inside the host, and puts everything back after.
func inArena(t testing.TB, f func(a *arena) error) {
	t.Helper()
	openArena(t)
	a, done := theArena, make(chan error)
	a.work <- func() { done <- errors.Join(f(a), a.restore(), a.mark()) }
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func openArena(t testing.TB) {
	t.Helper()
	if theArena != nil {
		return
	}
	behaviour.NeedRoot(t)
	a, err := newArena(t)
	check(t, err)
	theArena = a
}

// openArenaToFuzz opens it before the first input, which must not take as long.
// The process that leads those that fuzz needs none.
func openArenaToFuzz(f *testing.F) {
	f.Helper()
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		openArena(f)
	}
}

func newArena(t testing.TB) (*arena, error) {
	l, err := theLab()
	if err != nil {
		return nil, err
	}
	a := &arena{world: &world{lab: l}, work: make(chan func())}
	go func() {
		_ = l.host.Do(func() error {
			for f := range a.work {
				f()
			}
			return nil
		})
	}()
	if err := a.load(knobs{flows: arenaFlows, others: arenaOthers, marked: true}); err != nil {
		return nil, err
	}
	if a.memory, err = a.Marks.Memory(); err != nil {
		return nil, err
	}
	a.marks = make([]byte, coverMax)
	made := make(chan error, 1)
	a.work <- func() {
		err := errors.New("the arena could not be furnished")
		defer func() { made <- err }() // also when the test has ended meanwhile
		err = a.furnish(t)
	}
	return a, <-made
}

// furnish opens the sessions, and notes what the tables look like then.
func (a *arena) furnish(t testing.TB) error {
	a.fill(t)
	a.publish(t, published{port: 8080, target: "c1", targetPort: 80})
	a.publishSCTP(t)
	two := *a.containers["d1"].network
	two.flags |= uint32(maps.NetworkAnyRemote)
	a.fillNetwork(t, &two)
	check(t, a.lab.host.SetMAC("tun0", net.HardwareAddr{2, 0, 0, 0, 0, 8}))
	if err := errors.Join(a.settings(false), a.furnishGuards(t), a.furnishSockets(t)); err != nil {
		return err
	}
	for _, f := range a.families() {
		for _, proto := range []byte{tcp, udp, sctp, f.icmpProto()} {
			f.openAll(t, proto)
		}
	}
	var errs [7]error
	a.flows, errs[0] = newFlowsTable(a.Flows)
	a.bindings, errs[1] = newTable[bpf.VethwayBindingKey, bpf.VethwayBindingValue](a.Bindings)
	a.fragments, errs[2] = newTable[bpf.VethwayFragmentKey, bpf.VethwayFragmentValue](a.Fragments)
	a.origins, errs[3] = newTable[bpf.VethwayOriginKey, bpf.VethwayOriginValue](a.Origins)
	a.sources, errs[4] = newTable[bpf.VethwayAddr, bpf.VethwaySourceValue](a.Sources)
	a.splices, errs[5] = newTable[bpf.VethwaySpliceKey, bpf.VethwaySpliceValue](a.Splices)
	a.ways, errs[6] = newTable[uint32, bpf.VethwayWayValue](a.Ways)
	return errors.Join(errs[:]...)
}

func (w *world) families() []family {
	return []family{{world: w, name: behaviour.IPv4}, {world: w, name: behaviour.IPv6, six: true}}
}

// settings sets the quota, and whether there is a detour for fragments out of
// order and for what is too big.
func (a *arena) settings(detour bool) error {
	s := bpf.VethwaySettingsValue{MaxFlows: arenaQuota, Flags: uint32(maps.SettingAnyRemote)}
	if detour {
		s.Detour, s.DetourMac = a.uplinks["eth1"].ifindex, detourMAC
		s.Cutter, s.CutterMac = a.uplinks["eth1"].ifindex, cutterMAC
	}
	return a.Settings.Put(uint32(0), s)
}

// mark hands the marks to the fuzzing engine.
func (a *arena) mark() error {
	if _, err := a.memory.ReadAt(a.marks, 0); err != nil {
		return err
	}
	if !mark(a.marks) {
		return nil
	}
	_, err := a.memory.WriteAt(a.marks, 0)
	return err
}

// close ends the thread and closes the sockets, so that nobody takes them for leaks.
func (a *arena) close() {
	for _, s := range a.sockets {
		s.Close()
	}
	close(a.work)
	a.world.close()
}

// restore puts back what the last packets have changed.
func (a *arena) restore() error {
	if err := a.read(); err != nil {
		return err
	}
	err := errors.Join(a.flows.restore(), a.bindings.restore(), a.fragments.restore(), a.origins.restore(), a.sources.restore(), a.unsplice())
	if a.renewed {
		a.renewed = false
		for _, c := range a.containers {
			err = errors.Join(err, a.renew(c.name, generation))
		}
		// What else the ways of next hops have become is no matter: they are a cache.
		err = errors.Join(err, a.Generations.Put(uint32(slotRoutes), uint32(1)), a.ways.read(), a.ways.restore())
	}
	return errors.Join(err, a.recount())
}

func (a *arena) read() error {
	return errors.Join(a.flows.read(), a.bindings.read(), a.fragments.read(), a.origins.read(), a.sources.read(), a.splices.read())
}

// table is a map, and what is in it when all is as it should be.
type table[K, V comparable] struct {
	m         *ebpf.Map
	base, now map[K]V
	keys      []K
	values    []V
}

func newTable[K, V comparable](m *ebpf.Map) (*table[K, V], error) {
	if m == nil {
		return &table[K, V]{}, nil // the kernel cannot do what it is for
	}
	n := m.MaxEntries()
	t := &table[K, V]{m: m, keys: make([]K, n), values: make([]V, n)}
	err := t.read()
	t.base = t.now
	return t, err
}

func (t *table[K, V]) read() error {
	if t.m == nil {
		return nil
	}
	t.now = map[K]V{}
	var cursor ebpf.MapBatchCursor
	n, err := t.m.BatchLookup(&cursor, t.keys, t.values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("reading %s: %w", t.m, err)
	}
	for i := range n {
		t.now[t.keys[i]] = t.values[i]
	}
	return nil
}

// restore puts back what was read as something else than it should be.
func (t *table[K, V]) restore() error {
	var err error
	for k := range t.now {
		if _, ok := t.base[k]; !ok {
			err = errors.Join(err, t.m.Delete(k))
		}
	}
	for k, v := range t.base {
		if t.now[k] != v {
			err = errors.Join(err, t.m.Put(k, v))
		}
	}
	return err
}

// touched tells whether anything is not as it should be.
func (t *table[K, V]) touched() bool { return !gomaps.Equal(t.now, t.base) }

// more is how many entries there are more than there should be.
func (t *table[K, V]) more() int { return len(t.now) - len(t.base) }
