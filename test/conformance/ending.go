// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"
	"time"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N17: how TCP sessions end (RFC 7857 section 2, RFC 6146 section 3.5.2).
func endingCases() []Case {
	return []Case{
		{ID: "N17", Name: "an RST leaves 240 s", NAT: true, Lab: clockLab, Run: func(t *T) { afterRST(t, false) }},
		{ID: "N17", Name: "an RST of the container leaves 240 s", NAT: true, Lab: clockLab, Run: func(t *T) { afterRST(t, true) }},
		{ID: "N17", Name: "data after an RST revives", NAT: true, Lab: clockLab, Run: revived},
		{ID: "N17", Name: "one FIN leaves the session as it is", NAT: true, Lab: clockLab, Run: halfClosed},
		{ID: "N17", Name: "both FINs leave 240 s", NAT: true, Lab: clockLab, Run: bothFINs},
		{ID: "N17", Name: "a SYN after both FINs begins afresh", NAT: true, Lab: clockLab, Run: afreshAfterFINs},
	}
}

func (t *T) established() *Session {
	s := t.Open(tcp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 80))
	t.Works(s, "new")
	return s
}

func (t *T) reset(s *Session, fromInside bool) {
	if fromInside {
		t.outward(s, "RST", wire.Segment{Flags: wire.RST | wire.ACK, Seq: s.Seq, Ack: s.PeerSeq})
	} else {
		t.inward(s, "RST", wire.Segment{Flags: wire.RST | wire.ACK, Seq: s.PeerSeq, Ack: s.Seq})
	}
}

func afterRST(t *T, fromInside bool) {
	s := t.established()
	t.reset(s, fromInside)
	t.LeftAbout(s, tcpTransitory, "after an RST")
	t.Works(s, "after an RST")
}

// revived: an RST may be forged (RFC 7857 section 2.2).
func revived(t *T) {
	s := t.established()
	t.reset(s, false)
	t.Works(s, "after an RST")
	if left, _ := t.Remaining(s); left < tcpEstablished-tick {
		t.Errorf("after an RST and data both ways %v are left, want %v", left, tcpEstablished)
	}
}

func halfClosed(t *T) {
	s := t.established()
	t.inward(s, "FIN of the peer", wire.Segment{Flags: wire.FIN | wire.ACK, Seq: s.PeerSeq, Ack: s.Seq})
	s.PeerSeq++
	t.GoesOut(s, "half closed")
	if left, _ := t.Remaining(s); left < tcpEstablished-tick {
		t.Errorf("half closed it has %v left, want %v", left, tcpEstablished)
	}
}

func bothFINs(t *T) {
	s := t.established()
	t.close(s)
	t.LeftAbout(s, tcpTransitory, "after both FINs")
}

func afreshAfterFINs(t *T) {
	s := t.established()
	t.close(s)
	t.Out().Reset()
	s.Side.Reset()
	again := t.Open(tcp, s.Side, s.In.Port(), s.Peer)
	t.Works(again, "opened again")
	if left, _ := t.Remaining(again); left < tcpEstablished-tick {
		t.Errorf("opened again it has %v left, want %v", left, tcpEstablished)
	}
}

// N16: a port that has become free is not given to somebody else at once: late packets would reach the wrong one
// (RFC 6888 REQ-8).
func holdDownCases() []Case {
	var all []Case
	for _, kind := range []string{udp, tcp, ping} {
		all = append(all, Case{ID: "N16", Name: "another container does not get a freed port of " + kind, NAT: true, Lab: clockLab, Run: func(t *T) { holdDown(t, kind) }})
	}
	return all
}

func holdDown(t *T, kind string) {
	port, peer := t.Port(), netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	s := t.Open(kind, t.In("x1"), port, peer)
	if s.Ext.Port() != port {
		t.Errorf("port %d is free, but %s gets %s", port, s.In, s.Ext)
	}
	left, _ := t.Remaining(s)
	t.Age(left+time.Second, s)
	t.gone([]*Session{s})
	t.Out().Reset()
	if other := t.Open(kind, t.In("x2"), port, peer); other.Ext == s.Ext {
		t.Errorf("%s gets %s as soon as %s has lost it", other.In, other.Ext, s.In)
	}
	// Its former owner may have it again.
	s.Side.Reset()
	if again := t.Open(kind, s.Side, port, peer); kind != tcp && again.Ext != s.Ext {
		t.Errorf("%s had %s and gets %s", s.In, s.Ext, again.Ext)
	}
}
