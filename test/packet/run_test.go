// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// What programs return.
const (
	next     = 0xffffffff // TC_NEXT, -1
	drop     = 2          // TC_ACT_SHOT
	redirect = 7          // TC_ACT_REDIRECT
)

// skBuff is struct __sk_buff, as BPF_PROG_TEST_RUN takes it: what the kernel
// does not let us set must be zero.
type skBuff struct {
	_              [2]uint32 // len, pkt_type
	Mark           uint32
	_              [5]uint32 // queue_mapping to vlan_proto
	Priority       uint32
	IngressIfindex uint32
	Ifindex        uint32
	_              uint32 // tc_index
	CB             [5]uint32
	_              [21]uint32 // hash to flow_keys
	Tstamp         uint64
	WireLen        uint32
	GSOSegs        uint32
	_              uint64 // sk
	GSOSize        uint32
	_              uint32 // tstamp_type
	Hwtstamp       uint64
}

// result is what a program made of a packet.
type result struct {
	verdict uint32
	out     []byte
	ctx     skBuff
}

// run sends a packet through a program.
func run(prog *ebpf.Program, in []byte, ctx skBuff) (result, error) {
	return runOptions(prog, in, ebpf.RunOptions{Context: ctx})
}

// runOptions is run with options. Without a context the result has none.
func runOptions(prog *ebpf.Program, in []byte, opts ebpf.RunOptions) (result, error) {
	r := result{out: make([]byte, len(in)+256)}
	opts.Data, opts.DataOut, opts.Repeat = in, r.out, 1
	if opts.Context != nil {
		opts.ContextOut = &r.ctx
	}
	verdict, err := prog.Run(&opts)
	r.verdict, r.out = verdict, opts.DataOut
	return r, err
}

// step is one packet through one program, and all that is to come of it.
type step struct {
	prog *ebpf.Program
	in   packet
	raw  []byte // instead of in
	ctx  skBuff

	verdict uint32
	out     *packet // nil: as it came
	rawOut  []byte  // instead of out
	hook    hook    // of a drop
	reason  reason
	told    bool // dropped, and the container is told so: the packet has become an ICMP error
	flows   int  // entries more, or fewer, in the table than before
}

// run runs a step, checks everything, and returns the result.
func (w *world) run(t testing.TB, name string, s step) result {
	t.Helper()
	in := s.raw
	if in == nil {
		in = s.in.bytes()
	}
	flows, drops := len(w.flows(t)), w.drops(t)
	r, err := run(s.prog, in, s.ctx)
	check(t, err)
	if r.verdict != s.verdict {
		t.Errorf("%s: verdict %s, want %s", name, verdictName(r.verdict), verdictName(s.verdict))
	}
	if got := len(w.flows(t)) - flows; got != s.flows {
		t.Errorf("%s: %+d entries in the flow table, want %+d\n%s", name, got, s.flows, w.describe(t))
	}
	want := map[bpf.VethwayCounterKey]uint64{}
	if s.verdict == drop || s.told {
		want[bpf.VethwayCounterKey{Hook: s.hook, Reason: s.reason}] = 1
	}
	if got := w.dropsSince(t, drops); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: counted the drops %v, want %v", name, got, want)
	}
	w.compare(t, name, in, s, r)
	return r
}

// compare compares what came out. What was dropped is nobody's business.
func (w *world) compare(t testing.TB, name string, in []byte, s step, r result) {
	t.Helper()
	if r.verdict == drop {
		return
	}
	want := in
	switch {
	case s.rawOut != nil:
		want = s.rawOut
	case s.out != nil:
		want = s.out.bytes()
	}
	if !bytes.Equal(r.out, want) {
		t.Errorf("%s:\n in   %x\n out  %x\n want %x%s", name, in, r.out, want, firstDifference(r.out, want))
	}
	l3 := ethLen
	if s.in.bare {
		l3 = 0
	}
	// What verify goes by, a length, a big packet does not have; want has the right checksums.
	if s.raw == nil && !s.in.big && len(r.out) > l3 {
		if s.in.bare && s.verdict == redirect {
			l3 = ethLen
		}
		if err := verify(r.out[l3:]); err != nil {
			t.Errorf("%s: %v in %x", name, err, r.out)
		}
	}
}

func firstDifference(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("\n first difference at byte %d", i)
		}
	}
	return fmt.Sprintf("\n %d bytes and %d", len(a), len(b))
}

func verdictName(v uint32) string {
	switch v {
	case next:
		return "next"
	case drop:
		return "drop"
	case redirect:
		return "redirect"
	}
	return fmt.Sprint(v)
}

// flows reads the flow tables.
func (w *world) flows(t testing.TB) map[flowKey]flowValue {
	t.Helper()
	all, err := w.Flows.all()
	check(t, err)
	return all
}

// flow returns the flow that a packet belongs to, which must exist.
func (w *world) flow(t testing.TB, p packet) flowValue {
	t.Helper()
	v, ok := w.flows(t)[key(p)]
	if !ok {
		t.Fatalf("no flow for %s:%d to %s:%d\n%s", p.src, p.sport, p.dst, p.dport, w.describe(t))
	}
	return v
}

// key is the key of a packet's flow.
func key(p packet) flowKey {
	return flowKey{Src: toAddr(p.src), Dst: toAddr(p.dst), Sport: wire(p.sport), Dport: wire(p.dport), Proto: p.proto}
}

// clear forgets all sessions.
func (w *world) clear(t testing.TB) {
	t.Helper()
	for k := range w.flows(t) {
		for _, port := range []uint16{wire(k.Sport), wire(k.Dport)} {
			check(t, w.PortFlows.Put(maps.PortIndex(k.Proto, port), uint32(0)))
		}
	}
	w.Flows.empty(t)
	emptyMap(t, w.Bindings)
	emptyMap(t, w.Quotas)
}

func (w *world) describe(t testing.TB) string {
	t.Helper()
	s := ""
	for k, v := range w.flows(t) {
		s += "  " + describeFlow(k, v) + "\n"
	}
	return s
}

func describeFlow(k flowKey, v flowValue) string {
	return fmt.Sprintf("%s:%d to %s:%d proto %d: kind %d action %d flags %d iif %d way %d.%d slot %d.%d, becomes %s:%d to %s:%d",
		fromAddr(k.Src), wire(k.Sport), fromAddr(k.Dst), wire(k.Dport), k.Proto, v.Kind, v.Action, v.Flags, v.Iif, v.Way>>20, v.Way&0xfffff, v.Slot, v.Generation,
		fromAddr(v.N_src), wire(v.N_sport), fromAddr(v.N_dst), wire(v.N_dport))
}

// drops reads the counters of dropped packets.
func (w *world) drops(t testing.TB) map[bpf.VethwayCounterKey]uint64 {
	t.Helper()
	all := map[bpf.VethwayCounterKey]uint64{}
	var k bpf.VethwayCounterKey
	var perCPU []bpf.VethwayCounterValue
	it := w.Counters.Iterate()
	for it.Next(&k, &perCPU) {
		for _, v := range perCPU {
			all[k] += v.Packets
		}
	}
	check(t, it.Err())
	return all
}

func (w *world) dropsSince(t testing.TB, before map[bpf.VethwayCounterKey]uint64) map[bpf.VethwayCounterKey]uint64 {
	t.Helper()
	since := map[bpf.VethwayCounterKey]uint64{}
	for k, n := range w.drops(t) {
		if n != before[k] {
			since[k] = n - before[k]
		}
	}
	return since
}
