// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"io"
	"net/netip"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
)

// Short names for what the tests use all the time.
type (
	reason = bpf.VethwayDropReason
	hook   = bpf.VethwayHook
)

const (
	slotRoutes = 0
	slotHost   = 262143
	generation = 7 // of everything that is live

	flowReply     = uint8(maps.FlowReply)
	flowNATSource = uint8(maps.FlowNATSource)

	shortcutHost     = 1
	shortcutEndpoint = 2
	shortcutGateway  = 3

	portPublished = maps.PortPublished
	portHost      = maps.PortHost

	poolFirst, poolLast   = 1024, 32767
	localFirst, localLast = 32768, 60999
)

// programs are those that packets run through, and what they share.
type programs struct {
	FromContainer *ebpf.Program `ebpf:"vw_from_container"`
	FromUplink    *ebpf.Program `ebpf:"vw_from_uplink"`
	SlowContainer *ebpf.Program `ebpf:"vw_slow_container"`
	SlowUplink    *ebpf.Program `ebpf:"vw_slow_uplink"`
	FromTun       *ebpf.Program `ebpf:"vw_from_tun"`
	FromDetour    *ebpf.Program `ebpf:"vw_from_detour"`
	FromCutter    *ebpf.Program `ebpf:"vw_from_cutter"`
	XDP           *ebpf.Program `ebpf:"vw_xdp"`
	XDPGeneric    *ebpf.Program `ebpf:"vw_xdp_generic"`
	Guard         *ebpf.Program `ebpf:"vw_guard"`
	GuardTun      *ebpf.Program `ebpf:"vw_guard_tun"`
	ToUplink      *ebpf.Program `ebpf:"vw_to_uplink"`
	ToTun         *ebpf.Program `ebpf:"vw_to_tun"`
	ToBridge      *ebpf.Program `ebpf:"vw_to_bridge"`
	GC            *ebpf.Program `ebpf:"vw_gc"`
	GCBinding     *ebpf.Program `ebpf:"vw_gc_binding"`

	Flows4      *ebpf.Map `ebpf:"flows4"`
	Flows6      *ebpf.Map `ebpf:"flows6"`
	Ways        *ebpf.Map `ebpf:"ways"`
	Bindings    *ebpf.Map `ebpf:"bindings"`
	PortFlows   *ebpf.Map `ebpf:"port_flows"`
	Quotas      *ebpf.Map `ebpf:"quotas"`
	Settings    *ebpf.Map `ebpf:"settings"`
	Published   *ebpf.Map `ebpf:"published"`
	Endpoints   *ebpf.Map `ebpf:"endpoints"`
	Veths       *ebpf.Map `ebpf:"veths"`
	Shortcuts   *ebpf.Map `ebpf:"shortcuts"`
	Hairpins    *ebpf.Map `ebpf:"hairpins"`
	Networks    *ebpf.Map `ebpf:"networks"`
	Addresses   *ebpf.Map `ebpf:"addresses"`
	Uplinks     *ebpf.Map `ebpf:"uplinks"`
	PortUse     *ebpf.Map `ebpf:"port_use"`
	Generations *ebpf.Map `ebpf:"generations"`
	Counters    *ebpf.Map `ebpf:"counters"`
	Tries       *ebpf.Map `ebpf:"tries"`
	Calls       *ebpf.Map `ebpf:"calls"`
	Fragments   *ebpf.Map `ebpf:"fragments"`
	Origins     *ebpf.Map `ebpf:"origins"`
	Guards      *ebpf.Map `ebpf:"guards"`
	Denied      *ebpf.Map `ebpf:"denied"`
	Sources     *ebpf.Map `ebpf:"sources"`
	Answers     *ebpf.Map `ebpf:"answers"`
}

// world is a lab with programs and filled maps.
type world struct {
	programs
	*lab
	made  knobs
	Flows flowTables
	slots uint32   // given to published ports
	used  []uint32 // indexes of port_use

	cover *coverage
	Marks *ebpf.Map // of cover
	splicing
}

// splicing is what only a world with marks has, and only on a kernel that can splice.
type splicing struct {
	FromSpliced *ebpf.Program `ebpf:"vw_from_spliced"`
	Spliced     *ebpf.Map     `ebpf:"spliced"`
	Splices     *ebpf.Map     `ebpf:"splices"`
	SpliceEnds  *ebpf.Map     `ebpf:"splice_ends"`
}

// knobs are what a world is loaded with; zero: the defaults.
type knobs struct {
	poolFirst, poolLast uint16
	flows               uint32 // entries in each flow table
	others              uint32 // entries in the other tables that packets fill
	marked              bool   // tells which blocks of the programs ran
	longWay             bool   // no address has a shortcut
	helperChecksums     bool   // as on kernels that do not show programs their own struct sk_buff
}

// newWorld gives a test empty counters and flows, and c1's port 80 published
// as 8080 of any address, tcp and udp, both families. Worlds without special
// knobs share their programs, since loading them takes most of the time.
func newWorld(t testing.TB, l *lab, k knobs) *world {
	t.Helper()
	w := l.world
	if w == nil || k != (knobs{}) {
		w = &world{lab: l, made: k}
		check(t, w.load(k))
		if k == (knobs{}) {
			l.world = w
		} else {
			t.Cleanup(w.close)
		}
	}
	w.empty(t)
	w.fill(t)
	w.publish(t, published{port: 8080, target: "c1", targetPort: 80})
	return w
}

func (w *world) load(k knobs) error {
	spec, err := bpf.LoadVethway()
	if err != nil {
		return err
	}
	if k.poolFirst == 0 {
		k.poolFirst, k.poolLast = poolFirst, poolLast
	}
	features, err := loader.Probe()
	if err != nil {
		return err
	}
	features.KernelPacket = features.KernelPacket && !k.helperChecksums
	if k.flows != 0 {
		spec.Maps[bpf.VethwayMapFlows4].MaxEntries, spec.Maps[bpf.VethwayMapFlows6].MaxEntries = k.flows, k.flows
	}
	if k.others != 0 {
		for _, name := range []string{
			bpf.VethwayMapBindings, bpf.VethwayMapFragments, bpf.VethwayMapOrigins, bpf.VethwayMapSources, bpf.VethwayMapSplices, bpf.VethwayMapSpliceEnds,
		} {
			spec.Maps[name].MaxEntries = k.others
		}
	}
	err = errors.Join(
		spec.Variables[bpf.VethwayVarPoolFirst].Set(k.poolFirst),
		spec.Variables[bpf.VethwayVarPoolLast].Set(k.poolLast),
		spec.Variables[bpf.VethwayVarLocalFirst].Set(uint16(localFirst)),
		spec.Variables[bpf.VethwayVarLocalLast].Set(uint16(localLast)),
		features.Apply(spec),
	)
	if err != nil {
		return err
	}
	err = w.assign(spec, k.marked, features.Splice)
	w.Flows = flowTables{w.Flows4, w.Flows6}
	return err
}

func (w *world) assign(spec *ebpf.CollectionSpec, marked, splice bool) (err error) {
	if !marked {
		return spec.LoadAndAssign(&w.programs, nil)
	}
	if w.cover, err = instrument(spec); err != nil {
		return err
	}
	if !splice {
		var all struct {
			programs
			Marks *ebpf.Map `ebpf:"fuzz_cover"`
		}
		err = spec.LoadAndAssign(&all, nil)
		w.programs, w.Marks = all.programs, all.Marks
		return err
	}
	var all struct {
		programs
		splicing
		Marks *ebpf.Map `ebpf:"fuzz_cover"`
	}
	err = spec.LoadAndAssign(&all, nil)
	w.programs, w.splicing, w.Marks = all.programs, all.splicing, all.Marks
	return err
}

// empty undoes what the test before has done.
func (w *world) empty(t testing.TB) {
	t.Helper()
	w.Flows.empty(t)
	w.forgetWays(t)
	for _, m := range []*ebpf.Map{w.Bindings, w.Published, w.Endpoints, w.Veths, w.Networks, w.Addresses, w.Uplinks, w.Counters, w.Denied, w.Sources} {
		emptyMap(t, m)
	}
	for _, i := range w.used {
		check(t, w.PortUse.Put(i, uint32(0)))
	}
	w.used, w.slots = nil, 0
	for _, c := range w.containers {
		for _, a := range []netip.Addr{c.addr4, c.addr6} {
			w.shortcut(t, a, bpf.VethwayShortcutValue{})
		}
		check(t, w.Hairpins.Put(uint32(c.network.id), uint32(0)))
	}
}

// shortcut gives an address its place.
func (w *world) shortcut(t testing.TB, a netip.Addr, v bpf.VethwayShortcutValue) {
	t.Helper()
	if !w.made.longWay {
		check(t, w.Shortcuts.Put(maps.ShortcutIndex(a), v))
	}
}

func emptyMap(t testing.TB, m *ebpf.Map) {
	t.Helper()
	key := make([]byte, m.KeySize())
	for {
		err := m.NextKey(nil, &key)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return
		}
		check(t, err)
		check(t, m.Delete(key))
	}
}

func (w *world) close() {
	for _, all := range []any{w.programs, w.splicing} {
		v := reflect.ValueOf(all)
		for i := range v.NumField() {
			v.Field(i).Interface().(io.Closer).Close()
		}
	}
	w.Marks.Close()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
