// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/rivals"
)

// poolFirst and poolLast are the external ports of the lab with a small pool; a target that cannot be told has all.
const poolFirst, poolLast = 20000, 20255

var smallPool = LabConfig{Pool: "20000-20255"}

// exhaustible kinds are those whose external ports exhaust can take.
func (t *T) exhaustible() []string {
	if t.Lab.Name == NFNAT {
		return []string{udp}
	}
	return []string{udp, tcp, ping}
}

// exhaust has x2 take all external ports of a kind. nf_nat has 64,512 for each peer, and Docker no means to narrow that:
// once must be enough.
func (t *T) exhaust(kind string) netip.AddrPort {
	first, last := poolFirst, poolLast
	if t.Lab.Name == NFNAT {
		if first, last = 1024, 65535; kind != udp {
			t.NotApplicable("its pool is all ports above 1023; only that of udp is exhausted")
		}
	}
	x2, peer := t.In("x2"), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	for port := first; port <= last; port++ {
		from := x2.At(uint16(port))
		if kind == tcp {
			x2.Emit(wire.Header{}.TCP(from, peer, wire.Segment{Flags: wire.SYN, Seq: t.Seq()}))
		} else {
			x2.Emit(message(kind, from, peer, []byte("taken")))
		}
	}
	return peer
}

// leakFull asks for ports when none is left.
func leakFull(t *T) {
	x1 := t.In("x1")
	for _, kind := range t.exhaustible() {
		peer := t.exhaust(kind)
		for range 300 {
			p := message(kind, x1.At(t.Port()), peer, t.Tag("one too many"))
			if kind == tcp {
				p = wire.Header{}.TCP(x1.At(t.Port()), peer, wire.Segment{Flags: wire.SYN, Seq: t.Seq()})
			}
			x1.Emit(p)
		}
	}
	t.Tight("no port is left")
}

// N14: when nothing is left, it is said (RFC 5508 REQ-8, RFC 6888 REQ-11), and not too often.
func scarcityCases() []Case {
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all, Case{ID: "N14", Name: "no port left for " + kind, NAT: true, Lab: smallPool, Run: func(t *T) { refused(t, kind) }})
	}
	return all
}

// refused sends into an exhausted pool: nothing leaves, the sender is told, a few times, and the drops are counted.
func refused(t *T, kind string) {
	const attempts = 500
	peer, x1 := t.exhaust(kind), t.In("x1")
	time.Sleep(time.Second) // an earlier case's refusals count in the second that they were told in
	before, err := t.drops(t.ctx)
	t.must(err)
	events, start := t.events(), time.Now()
	var last []byte
	refusal := func(p *wire.Packet) bool {
		q, err := p.Quote()
		want := map[bool][2]uint8{true: {3, 13}, false: {1, 1}}[p.V4]
		return err == nil && p.Type == want[0] && p.Code == want[1] && q.Dst.Addr() == peer.Addr()
	}
	for i := range attempts {
		port := uint16(1100 + i)
		if last = message(kind, x1.At(port), peer, t.Tag("one too many")); kind == tcp {
			last = wire.Header{}.TCP(x1.At(port), peer, wire.Segment{Flags: wire.SYN, Seq: t.Seq()})
		}
		x1.Emit(last)
		if i == 0 {
			t.refusal(x1.Expect("a refusal", refusal), last)
		}
	}
	t.Never("what got no port", func(p *wire.Packet) bool { return p.Dst == peer && p.Src.Addr() == x1.Addr })
	told := 0
	for _, p := range x1.Seen() {
		if refusal(&p) {
			told++
		}
	}
	if told > attempts/10 {
		t.Errorf("%d of %d refusals are told", told, attempts)
	}
	t.oneEventEachSecond(events, time.Since(start))
	after, err := t.drops(t.ctx)
	t.must(err)
	var counted uint64
	for key, n := range after {
		counted += n - before[key]
	}
	if counted < attempts {
		t.Errorf("%d of %d drops are counted (%s)", counted, attempts, after.since(before))
	}
}

// refusal is from the gateway, or the host, and quotes what was refused.
func (t *T) refusal(p *wire.Packet, sent []byte) {
	if from := p.Src.Addr(); from != t.gateway(0) {
		t.Errorf("the refusal comes from %s, want %s", from, t.gateway(0))
	}
	t.quotesPart("the refusal", p, sent)
}

// events is how many refusals of x1 the daemon knows of.
func (t *T) events() int {
	v, ok := t.Target.(*rivals.Vethway)
	if !ok {
		return 0
	}
	list, err := v.Lab().Client.Events(t.ctx, api.EventFilter{Container: "x1"})
	t.must(err)
	return len(list)
}

// oneEventEachSecond waits for the first.
func (t *T) oneEventEachSecond(before int, elapsed time.Duration) {
	if t.Lab.Name != Vethway {
		return
	}
	for deadline := time.Now().Add(t.patience); t.events() == before && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := t.events() - before; n < 1 || n > int(elapsed.Seconds())+2 {
		t.Errorf("%d events are told in %v", n, elapsed)
	}
}
