// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"
	"time"

	"github.com/vethway/vethway/test/conformance/wire"
)

// The limits of the labs with quotas.
const (
	maxFlows = 50
	maxRate  = 40
)

// N15: no container takes everything (RFC 6888 REQ-4, REQ-5). Others know no containers.
func quotaCases() []Case {
	flows := LabConfig{Own: "flows", Flags: "--max-flows=50"}
	rate := LabConfig{Own: "rate", Flags: "--max-flow-rate=40"}
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all,
			Case{ID: "N15", Name: "flows of " + kind + " at a time", Option: true, Lab: flows, Run: func(t *T) { flowQuota(t, kind) }},
			Case{ID: "N15", Name: "new flows of " + kind + " in a second", Option: true, Lab: rate, Run: func(t *T) { rateQuota(t, kind) }},
		)
	}
	return all
}

// begin has x1 begin so many sessions, and returns those that reached R, and the first packet that did not.
func (t *T) begin(kind string, n int) (open []*Session, refused []byte) {
	x1, peer := t.In("x1"), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	sent := map[netip.AddrPort][]byte{}
	var order []netip.AddrPort
	for range n {
		from := x1.At(t.Port())
		p := message(kind, from, peer, []byte(from.String()))
		if kind == tcp {
			p = wire.Header{}.TCP(from, peer, wire.Segment{Flags: wire.SYN, Seq: t.Seq(), Payload: []byte(from.String())})
		}
		sent[from] = p
		order = append(order, from)
		x1.Emit(p)
	}
	time.Sleep(silence)
	arrived := map[string]netip.AddrPort{}
	for _, p := range t.Out().Seen() {
		if p.Dst == peer {
			arrived[string(p.Payload)] = p.Src
		}
	}
	for _, from := range order {
		if ext, ok := arrived[from.String()]; ok {
			open = append(open, &Session{Kind: kind, Side: x1, In: from, Ext: ext, Peer: peer})
		} else if refused == nil {
			refused = sent[from]
		}
	}
	return open, refused
}

func (t *T) toldOf(refused []byte) {
	q, err := wire.Parse(refused)
	t.must(err)
	p := t.In("x1").Expect("a refusal", func(p *wire.Packet) bool {
		quoted, err := p.Quote()
		want := map[bool][2]uint8{true: {3, 13}, false: {1, 1}}[p.V4]
		return err == nil && p.Type == want[0] && p.Code == want[1] && quoted.Src == q.Src
	})
	t.refusal(p, refused)
}

func flowQuota(t *T, kind string) {
	time.Sleep(time.Second) // another case's refusals count in the second that they were told in
	open, refused := t.begin(kind, maxFlows+20)
	if len(open) != maxFlows {
		t.Errorf("%d flows are let through, want %d", len(open), maxFlows)
	}
	if refused == nil {
		t.Fatalf("nothing is refused")
	}
	t.toldOf(refused)
	s := t.Open(kind, t.In("x2"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	t.Works(s, "of another container")
	if kind != tcp {
		t.Works(open[0], "of the container that has its quota")
	}
	// What has ended does not count.
	t.Age(tcpEstablished, open...)
	t.gone(open)
	if again, _ := t.begin(kind, 5); len(again) != 5 {
		t.Errorf("after all have ended %d of 5 new flows are let through", len(again))
	} else {
		t.Age(tcpEstablished, again...)
		t.gone(again)
	}
}

// rateQuota: a second may begin in the middle, so up to twice as many may pass.
func rateQuota(t *T, kind string) {
	time.Sleep(time.Second)
	open, refused := t.begin(kind, 4*maxRate)
	if len(open) < maxRate || len(open) > 2*maxRate {
		t.Errorf("%d flows are let through, want %d in a second", len(open), maxRate)
	}
	if refused == nil {
		t.Fatalf("nothing is refused")
	}
	t.toldOf(refused)
	s := t.Open(kind, t.In("x2"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	t.Works(s, "of another container")
	time.Sleep(time.Second)
	if again, _ := t.begin(kind, maxRate/2); len(again) != maxRate/2 {
		t.Errorf("in the next second %d of %d new flows are let through", len(again), maxRate/2)
	}
}
