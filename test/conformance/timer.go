// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"
	"time"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/rivals"
)

// What the RFCs ask a mapping to live at least: 4787 REQ-5, 5382 REQ-5, 5508 REQ-2.
const (
	udpOneWay      = 120 * time.Second
	udpTwoWay      = 300 * time.Second
	pingLife       = 60 * time.Second
	tcpTransitory  = 240 * time.Second
	tcpEstablished = 7440 * time.Second
)

// collectEvery is how often the daemon collects what is over, and a bit.
const collectEvery = 6 * time.Second

var clockLab = LabConfig{Own: "clock"}

// N03: how long mappings live.
func timerCases() []Case {
	all := []Case{{ID: "N03", Name: "mappings live to their time, and no longer", NAT: true, Lab: clockLab, Run: endsInTime}}
	for _, l := range lives() {
		all = append(all, Case{ID: "N03", Name: l.name, NAT: true, Lab: clockLab, Run: func(t *T) {
			s := l.open(t)
			left, known := t.Remaining(s)
			if !known || left < l.life-tick {
				t.Errorf("%v are left of it, want at least %v", left, l.life)
			}
		}})
	}
	return all
}

// life is a kind of session, and how long it has to live.
type life struct {
	name string
	life time.Duration
	open func(t *T) *Session
}

func lives() []life {
	fresh := func(t *T, kind string) *Session {
		return t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	}
	return []life{
		{"udp without an answer lives 120 s", udpOneWay, func(t *T) *Session { return fresh(t, udp) }},
		{"udp with an answer lives 300 s", udpTwoWay, func(t *T) *Session {
			s := fresh(t, udp)
			t.Works(s, "new")
			return s
		}},
		{"ping lives 60 s", pingLife, func(t *T) *Session { return fresh(t, ping) }},
		{"tcp that is not established lives 240 s", tcpTransitory, func(t *T) *Session {
			s := t.halfOpen()
			s.Kind = tcp
			return s
		}},
		{"tcp that is established lives 7440 s", tcpEstablished, func(t *T) *Session { return fresh(t, tcp) }},
	}
}

// endsInTime brings one session of each kind close to its end, where it must stay, and then beyond.
func endsInTime(t *T) {
	if _, ok := t.Target.(*rivals.Vethway); !ok {
		t.NotApplicable("its collector looks at a clock that cannot be turned")
	}
	const margin = 15 * time.Second
	var all []*Session
	for _, l := range lives() {
		s := l.open(t)
		t.Age(l.life-margin, s)
		all = append(all, s)
	}
	time.Sleep(collectEvery)
	for i, l := range lives() {
		if _, known := t.Remaining(all[i]); !known {
			t.Errorf("%s: it is gone %v before", l.name, margin-collectEvery)
		}
	}
	t.Age(margin, all...)
	t.gone(all)
	for _, s := range all {
		payload := t.Tag("late")
		t.Out().Emit(s.InPacket(payload))
		s.Side.Never(s.Kind+" after the mapping's end", carrying(payload))
	}
}

// gone waits until sessions that are over have been collected.
func (t *T) gone(sessions []*Session) {
	deadline := time.Now().Add(2 * collectEvery)
	for _, s := range sessions {
		for {
			if _, known := t.Remaining(s); !known {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("the %s session of %s is still there %v after its end", s.Kind, s.In, 2*collectEvery)
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// N04: who keeps a mapping alive (RFC 4787 REQ-6, RFC 7857 sections 6 and 7).
func refreshCases() []Case {
	all := []Case{
		{ID: "N04", Name: "udp from outside does not refresh", NAT: true, Lab: clockLab, Run: inboundRefresh},
		{ID: "N04", Name: "an RST of the container does not refresh", NAT: true, Lab: clockLab, Run: rstRefresh},
		{ID: "N04", Name: "an ICMP error of the container does not refresh", NAT: true, Lab: clockLab, Run: outboundErrorRefresh},
	}
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all, Case{ID: "N04", Name: kind + " from inside refreshes", NAT: true, Lab: clockLab, Run: func(t *T) {
			s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
			t.Works(s, "new")
			full, _ := t.Remaining(s)
			t.Age(aBit, s)
			t.LeftAbout(s, full-aBit, "aged")
			t.speaks(s)
			t.LeftAbout(s, full, "after a packet from inside")
		}})
	}
	return all
}

// speaks sends something out that asks for no acknowledgement.
func (t *T) speaks(s *Session) {
	if s.Kind == tcp {
		t.Out().Reset()
		t.outward(s, "ACK", wire.Segment{Flags: wire.ACK, Seq: s.Seq, Ack: s.PeerSeq})
	} else {
		t.GoesOut(s, "aged")
	}
}

// aBit is less than every timer of every target.
const aBit = 20 * time.Second

func inboundRefresh(t *T) {
	s := t.Open(udp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	t.Works(s, "new")
	full, _ := t.Remaining(s)
	t.Age(aBit, s)
	for range 3 {
		payload := t.Tag("in")
		t.Out().Emit(s.InPacket(payload))
		s.Side.Expect("an answer", carrying(payload))
	}
	t.LeftAbout(s, full-aBit, "after packets from outside")
}

// rstRefresh is about a session that is in its transitory state already, so that the timer stays the same.
func rstRefresh(t *T) {
	s := t.halfOpen()
	s.Kind = tcp
	full, _ := t.Remaining(s)
	t.Age(aBit, s)
	for range 2 {
		s.Side.Emit(wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: wire.RST, Seq: s.Seq}))
	}
	time.Sleep(silence)
	if left, known := t.Remaining(s); known && left > full-aBit+tick {
		t.Errorf("after an RST it has %v left of %v, it had %v", left, full, full-aBit)
	}
}

func outboundErrorRefresh(t *T) {
	s := t.Open(udp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 99))
	t.Works(s, "new")
	full, _ := t.Remaining(s)
	payload := t.Tag("not wanted")
	t.Out().Emit(s.InPacket(payload))
	got := s.Side.Expect("an answer", carrying(payload))
	t.Age(aBit, s)
	m := icmpErrors(t.V4())[2]
	m.Payload = got.Bytes
	s.Side.Emit(wire.Header{}.ICMP(s.In.Addr(), s.Peer.Addr(), m))
	t.Out().Expect("the error", func(p *wire.Packet) bool { return p.IsError() })
	t.LeftAbout(s, full-aBit, "after an error from inside")
}

// N08: no ICMP error ends or refreshes a mapping (RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6).
func errorsKeepCases() []Case {
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all, Case{ID: "N08", Name: "errors about " + kind, Lab: clockLab, Run: func(t *T) { errorsKeep(t, kind) }})
	}
	return all
}

func errorsKeep(t *T, kind string) {
	s := t.Open(kind, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99)))
	t.Works(s, "new")
	payload := t.Tag("to be complained about")
	s.Side.Emit(s.OutPacket(payload))
	got := t.Out().Expect("what the errors quote", carrying(payload))
	var full time.Duration
	if t.Lab.Name != Router {
		full, _ = t.Remaining(s)
		t.Age(aBit, s)
	}
	for _, m := range icmpErrors(t.V4()) {
		m.Payload = got.Bytes
		t.Out().Emit(wire.Header{}.ICMP(s.Peer.Addr(), s.Ext.Addr(), m))
		s.Side.Expect("the error", func(p *wire.Packet) bool { return p.IsError() && p.Type == m.Type && p.Code == m.Code })
	}
	if t.Lab.Name != Router {
		t.LeftAbout(s, full-aBit, "after the errors")
	}
	t.Works(s, "after the errors")
}
