// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// alone takes the slow path away from the fast one, for the rest of the test:
// what is left to it is dropped then.
func (f family) alone(t *testing.T) {
	t.Helper()
	for _, slow := range []*ebpf.Program{f.SlowContainer, f.SlowUplink} {
		call := f.call(t, slow)
		check(t, f.Calls.Delete(call))
		t.Cleanup(func() { check(t, f.Calls.Put(call, slow)) })
	}
}

// call is the place of a program in the table of tail calls.
func (f family) call(t *testing.T, prog *ebpf.Program) uint32 {
	t.Helper()
	info, err := prog.Info()
	check(t, err)
	want, _ := info.ID()
	for i := range f.Calls.MaxEntries() {
		var id ebpf.ProgramID
		if err := f.Calls.Lookup(i, &id); !errors.Is(err, ebpf.ErrKeyNotExist) {
			check(t, err)
		}
		if id == want {
			return i
		}
	}
	t.Fatalf("%v is no tail call", prog)
	return 0
}

// learn gives all next hops that flows know MAC addresses for this second.
func (f family) learn(t *testing.T) {
	t.Helper()
	now := f.second(t)
	for index, way := range f.ways(t) {
		if way.Generation != 0 {
			way.Dmac, way.Smac, way.Seen = remoteMAC, f.uplinks["eth0"].mac, now
			check(t, f.Ways.Put(index, way))
		}
	}
}

// second is what the programs' clock says.
func (f family) second(t *testing.T) uint32 {
	t.Helper()
	p := f.from("c1", f.remote(), 999, 999)
	p.proto = udp
	_, err := run(f.SlowContainer, p.bytes(), f.at("c1"))
	check(t, err)
	return f.flow(t, p).Seen
}

// withinSecond tries something that is right as long as the second lasts.
func (f family) withinSecond(t *testing.T, try func() error) error {
	t.Helper()
	const tries = 5
	var err error
	for range tries {
		f.learn(t)
		before := f.second(t)
		if err = try(); err == nil || f.second(t) == before {
			return err
		}
	}
	return err
}

// Established sessions of every kind need the fast path alone.
func TestFastPathAlone(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		type sent struct {
			name string
			prog *ebpf.Program
			ctx  skBuff
			p    packet
			want uint32
		}
		var all []sent
		add := func(name, from string, p packet, want uint32) {
			if p.proto == tcp {
				p.flags = ack
			}
			s := sent{name, f.FromUplink, f.atUplink("eth0"), p, want}
			if from != "" {
				s.prog, s.ctx = f.FromContainer, f.at(from)
			}
			all = append(all, s)
		}
		for _, proto := range []byte{tcp, udp} {
			for _, c := range f.conversations(t, proto) {
				name := fmt.Sprintf("%s, protocol %d", c.name, proto)
				add(name+", asked", c.from, c.asked, redirect)
				add(name+", answer", c.to, c.answer, redirect)
			}
			neighbour := f.from("c2", f.container("c1"), 6000, 80)
			service := f.from("c1", f.gateway("c1"), 6000, 53)
			own := f.inbound("eth0", f.remote(), f.host(), 6000, 22)
			for _, p := range []*packet{&neighbour, &service, &own} {
				p.proto = proto
			}
			add("neighbour, in a network with hairpins", "c2", neighbour, redirect)
			add("service of the host", "c1", service, next)
			add("the host's own", "", own, next)
		}
		for _, s := range all {
			_, err := run(s.prog, s.p.bytes(), s.ctx) // TCP's flags are known then
			check(t, err)
		}
		f.alone(t)
		for _, s := range all {
			err := f.withinSecond(t, func() error {
				r, err := run(s.prog, s.p.bytes(), s.ctx)
				if err == nil && r.verdict != s.want {
					err = fmt.Errorf("verdict %s, want %s", verdictName(r.verdict), verdictName(s.want))
				}
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	})
}

// Whatever the fast path decides, the slow one would have decided so, too.
func TestFastPathAgrees(t *testing.T) {
	eachFamily(t, knobs{}, func(t *testing.T, f family) {
		f.covers(t, "R08", "N21")
		seeds := append(f.seeds(t), f.turns(t)...)
		r := rand.New(rand.NewPCG(7, 1))
		for i := range len(seeds) + 600 {
			s := seeds[i%len(seeds)]
			frame := s.frame
			if i >= len(seeds) {
				s = seeds[r.IntN(len(seeds))]
				frame = damage(r, s.frame, seeds[r.IntN(len(seeds))].frame)
			}
			if err := f.agree(t, s.place, frame); err != nil {
				t.Errorf("packet %d, from %s at %s: %v\n %x", i, s.name, s.place.prog, err, frame)
			}
		}
	})
}

// turns are packets by which sessions of every kind go on, close, begin again
// or run out of hops.
func (f family) turns(t *testing.T) (all []seed) {
	t.Helper()
	add := func(name, from string, p packet) {
		at := place{prog: "from uplink", from: "eth0"}
		if from != "" {
			at = place{prog: "from container", from: from}
		}
		for _, flags := range []byte{ack, fin | ack, syn, rst, syn | ack, ack} {
			p.flags = flags
			all = append(all, seed{fmt.Sprintf("%s, flags %#x", name, flags), at, p.bytes()})
		}
		for _, ttl := range []byte{0, 1, 2} {
			p.ttl = ttl
			all = append(all, seed{fmt.Sprintf("%s, TTL %d", name, ttl), at, p.bytes()})
		}
	}
	for _, proto := range []byte{tcp, udp} {
		for _, c := range f.openAll(t, proto) {
			add(c.name+", asked", c.from, c.asked)
			add(c.name+", answer", c.to, c.answer)
			add(c.name+", asked by another", "d1", c.asked)
			add(c.name+", another's answer", "c2", c.answer)
			for _, to := range []mac{broadcast, {2, 9, 9, 9, 9, 9}} {
				elsewhere := c.asked
				elsewhere.dstMAC = to
				add(c.name+", asked of another MAC address", c.from, elsewhere)
			}
		}
	}
	if f.six {
		mapped := f.from("c1", toMapped(f.containers["c2"].addr4), 5000, 80)
		mapped.src = toMapped(f.containers["c1"].addr4)
		add("IPv4-mapped", "c1", mapped)
	}
	return all
}

func toMapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }

// agree sends a frame by both paths, from the same state of all flows.
func (f family) agree(t *testing.T, p place, frame []byte) error {
	t.Helper()
	fast, ctx := f.world.at(p)
	slow := map[*ebpf.Program]*ebpf.Program{f.FromContainer: f.SlowContainer, f.FromUplink: f.SlowUplink}[fast]
	if slow == nil {
		return nil
	}
	send := func(prog *ebpf.Program) (result, map[flowKey]flowValue, error) {
		r, err := run(prog, frame, ctx)
		if tooShort(err, frame) {
			r, err = result{verdict: drop}, nil
		}
		return r, f.flows(t), err
	}
	return f.withinSecond(t, func() error {
		before := f.flows(t)
		want, after, err := send(slow)
		if err == nil && len(before) != len(after) {
			// What begins or ends takes more with it than flows: from then on.
			f.learn(t)
			before = f.flows(t)
			want, after, err = send(slow)
		}
		if err != nil {
			return err
		}
		for k, v := range before {
			check(t, f.Flows.Put(k, v))
		}
		got, now, err := send(fast)
		got.ctx.CB = want.ctx.CB // what programs leave for each other means nothing to others
		switch {
		case err != nil:
			return err
		case isRefusal(frame, want) && isRefusal(frame, got):
			return nil // as an answer, or in silence because there were too many
		case got.verdict != want.verdict:
			return fmt.Errorf("verdict %s, the slow path's is %s", verdictName(got.verdict), verdictName(want.verdict))
		case !bytes.Equal(got.out, want.out):
			return fmt.Errorf("comes out as\n %x, by the slow path as\n %x%s", got.out, want.out, firstDifference(got.out, want.out))
		case got.ctx != want.ctx:
			return fmt.Errorf("context %+v, the slow path's is %+v", got.ctx, want.ctx)
		}
		if difference := differences(now, after); difference != "" {
			return fmt.Errorf("flows, and by the slow path:\n%s", difference)
		}
		return nil
	})
}

func isRefusal(frame []byte, r result) bool { return r.verdict == drop || isAnswer(frame, r.out) }

// differences are those of two states of the flow tables, times aside.
func differences(a, b map[flowKey]flowValue) string {
	var lines []string
	for k, one := range a {
		other := b[k]
		other.Seen = one.Seen
		if one != other {
			lines = append(lines, fmt.Sprintf("%s, %d packets, %d bytes, TCP %#x\n%s, %d packets, %d bytes, TCP %#x",
				describeFlow(k, one), one.Packets, one.Bytes, one.TcpFlags, describeFlow(k, other), other.Packets, other.Bytes, other.TcpFlags))
		}
	}
	if len(a) != len(b) {
		lines = append(lines, fmt.Sprintf("%d and %d", len(a), len(b)))
	}
	return strings.Join(lines, "\n")
}
