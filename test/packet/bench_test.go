// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/test/behaviour"
)

// The kernel repeats a run on one buffer, so each run gets what the one before
// has made of the packet. Sessions are therefore laid out in rings: what the
// first flow makes of a packet is what the second one takes, and the second
// makes the first packet again. The TTL alone runs down.
const (
	benchTTL     = 255
	benchRepeats = benchTTL - 5
	loopback     = 1  // the interface that a run without a context comes from
	flowPorts    = 16 // FLOW_PORTS
)

// BenchmarkProgram measures the programs alone: what a packet costs from the
// hook to the verdict, without what the kernel does before and after.
//
//	go test -run '^$' -bench Program ./test/packet
func BenchmarkProgram(b *testing.B) {
	behaviour.NeedRoot(b)
	l, err := theLab()
	check(b, err)
	for _, six := range []bool{false, true} {
		name := either(six, behaviour.IPv4, behaviour.IPv6)
		err := l.host.Do(func() error {
			f := family{world: newWorld(b, l, knobs{}), name: name, six: six}
			for _, c := range f.benchmarks(b) {
				b.Run(c.name+"/"+name, func(b *testing.B) { c.measure(b) })
			}
			return nil
		})
		check(b, err)
	}
}

type benchmark struct {
	name    string
	prog    *ebpf.Program
	in      packet
	verdict uint32
}

func (c benchmark) measure(b *testing.B) {
	frame := c.in.bytes()
	var spent time.Duration
	packets := 0
	for b.Loop() {
		verdict, perPacket, err := c.prog.Benchmark(frame, benchRepeats, func() {})
		check(b, err)
		if verdict != c.verdict {
			b.Fatalf("verdict %s, want %s", verdictName(verdict), verdictName(c.verdict))
		}
		spent += perPacket * benchRepeats
		packets += benchRepeats
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(packets), "ns/packet")
	b.ReportMetric(0, "ns/op") // the system call's
}

func (f family) benchmarks(b *testing.B) []benchmark {
	b.Helper()
	out := f.from("c1", f.remote(), 5000, 443)
	in := f.arriving("eth0", out.answer())
	out.flags, in.flags = ack, ack
	out.payload, in.payload = make([]byte, 64), make([]byte, 64)
	out.ttl, in.ttl = benchTTL, benchTTL
	// Back and forth between two addresses that a container has.
	in.dst, in.dstMAC = f.parse("192.0.2.60", "2001:db8:2::60"), mac{} // loopback's
	f.shortcut(b, in.dst, f.shortcutTo("c1", in.dst))

	sent := out
	sent.src, sent.sport = f.host(), 6000
	f.ring(b, out, sent, f.outward(b, loopback))
	delivered := in
	delivered.dst, delivered.dport = f.container("c1"), 7000
	f.ring(b, in, delivered, f.inward())

	neighbour := f.from("c1", f.container("c2"), 5000, 80)
	f.behind(b, "c1", loopback)
	hosts := in
	hosts.dst, hosts.dport = f.host(), 50000
	hostsOwn := hosts.answer()
	return []benchmark{
		{"container to outside", f.FromContainer, out, redirect},
		{"outside to container", f.FromUplink, in, redirect},
		{"container to neighbour", f.FromContainer, neighbour, redirect},
		{"outside to host", f.FromUplink, hosts, next},
		{"host to outside", f.ToUplink, hostsOwn, next},
	}
}

// behind puts a container behind another interface than its own.
func (f family) behind(b *testing.B, name string, ifindex uint32) {
	b.Helper()
	c := f.containers[name]
	check(b, f.Veths.Put(ifindex, bpf.VethwayVethValue{
		Addr4: toAddr(c.addr4), Addr6: toAddr(c.addr6), Slot: c.slot, Generation: generation,
		Bridge: c.network.ifindex, Network: c.network.id, Mtu: 1500, Mac: c.mac, Flags: c.network.flags,
	}))
	self := f.endpointShortcut(name)
	self.Ifindex = ifindex
	f.shortcut(b, f.container(name), self)
}

func (f family) outward(b *testing.B, iif uint32) flowValue {
	b.Helper()
	check(b, f.Ways.Put(uint32(7), bpf.VethwayWayValue{Generation: 1, Routes: 1, Oif: f.uplinks["eth0"].ifindex, Mtu: 1500, NextHop: toAddr(f.remote())}))
	return flowValue{Iif: iif, Way: 7<<wayBits | 1, Kind: bpf.VethwayFlowKindFLOW_MASQUERADE, Action: bpf.VethwayFlowActionFLOW_TO_UPLINK}
}

func (f family) inward() flowValue {
	return flowValue{Way: f.containers["c1"].ifindex, Kind: bpf.VethwayFlowKindFLOW_PUBLISHED, Action: bpf.VethwayFlowActionFLOW_TO_PEER}
}

// ring makes two flows that turn one packet into the other and back.
func (f family) ring(b *testing.B, one, two packet, v flowValue) {
	b.Helper()
	for range 2 {
		v.N_src, v.N_dst, v.N_sport, v.N_dport = toAddr(two.src), toAddr(two.dst), wire(two.sport), wire(two.dport)
		if f.six {
			v.AddrDiff = uint32(difference(one, two))
		}
		v.Slot, v.Generation, v.Flags = slotHost, generation, flowPorts
		check(b, f.Flows.Put(key(one), v))
		one, two = two, one
	}
}

// difference is what the translation of addresses adds to a checksum, as the machine has it.
func difference(from, to packet) uint16 {
	words := func(p packet) []byte { return append(p.src.AsSlice(), p.dst.AsSlice()...) }
	var inverted []byte
	for _, c := range words(from) {
		inverted = append(inverted, ^c)
	}
	return wire(sum(inverted, words(to)))
}

// BenchmarkSession measures what beginning a session costs, to a published port and to the outside: each packet is the first of one. How much
// the memory of its entries costs depends on what else the machine does: the median and the best tenth are reported, and
// the mean, which has what the kernel does for many of them at a time.
//
//	go test -run '^$' -bench Session -benchtime 20000x ./test/packet
func BenchmarkSession(b *testing.B) {
	behaviour.NeedRoot(b)
	l, err := theLab()
	check(b, err)
	for _, six := range []bool{false, true} {
		name := either(six, behaviour.IPv4, behaviour.IPv6)
		f := family{world: newWorld(b, l, knobs{}), name: name, six: six}
		measure := func(way string, begin func(*testing.B)) {
			// In the host's namespace, whose routes are asked: b.Run has a thread of its own.
			b.Run(way+"/"+name, func(b *testing.B) {
				check(b, l.host.Do(func() error { begin(b); return nil }))
			})
		}
		measure("published", f.beginInward)
		measure("masquerade", f.beginOutward)
	}
}

// beginInward sends SYNs of which no two have the same sender.
func (f family) beginInward(b *testing.B) {
	in := f.arriving("eth0", f.from("c1", f.remote(), 8080, 5000).answer())
	in.dst, in.dstMAC = f.host(), mac{} // loopback's
	remote := f.remote().AsSlice()
	f.begin(b, f.FromUplink, in, func(p *packet, i int) {
		remote[len(remote)-1] = byte(100 + i)
		p.src, _ = netip.AddrFromSlice(remote)
	})
}

// beginOutward sends SYNs of which no two have the same sender and receiver.
func (f family) beginOutward(b *testing.B) {
	f.behind(b, "c1", loopback)
	f.begin(b, f.FromContainer, f.from("c1", f.remote(), 5000, 443), func(p *packet, i int) { p.dport = 443 + uint16(i) })
}

// begin sends SYNs by all ports, and then by all ports of another peer.
func (f family) begin(b *testing.B, prog *ebpf.Program, p packet, other func(p *packet, i int)) {
	b.Helper()
	const ports, entries = 31013, 64 << 10
	p.flags = syn
	var spent []time.Duration
	for b.Loop() {
		n := len(spent)
		if n%(entries/2) == 0 {
			f.Flows.empty(b)
		}
		p.sport = 1024 + uint16(n%ports)
		other(&p, n/ports)
		verdict, took, err := prog.Benchmark(p.bytes(), 1, func() {})
		check(b, err)
		if verdict != redirect {
			b.Fatalf("session %d: verdict %s, want %s", n, verdictName(verdict), verdictName(redirect))
		}
		spent = append(spent, took)
	}
	var all time.Duration
	for _, took := range spent {
		all += took
	}
	slices.Sort(spent)
	b.ReportMetric(float64(all.Nanoseconds())/float64(len(spent)), "ns/mean")
	b.ReportMetric(float64(spent[len(spent)/2].Nanoseconds()), "ns/session")
	b.ReportMetric(float64(spent[len(spent)/10].Nanoseconds()), "ns/tenth")
	b.ReportMetric(0, "ns/op") // the system call's
}
