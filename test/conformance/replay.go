// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vethway/vethway/test/conformance/wire"
)

// replay sends a trace through one NAT, and writes down what comes of each step.
type replay struct {
	*T
	trace     trace
	sessions  []*Session
	peers     []netip.Addr
	last      map[int][]byte // what last arrived inside, by session: errors quote it
	lastOut   map[int][]byte // ... and outside
	sentinels []*Session     // of each container
}

// firstTraced is beyond the peers of other cases.
const firstTraced = 60000

func (t *T) newReplay(tr trace) *replay {
	r := &replay{T: t, trace: tr, last: map[int][]byte{}, lastOut: map[int][]byte{}}
	for i := range uint32(6) {
		r.peers = append(r.peers, t.peerAt(firstTraced+i)) // the same in every lab
	}
	for _, s := range tr.sessions {
		side := t.In(s.side)
		session := &Session{
			Kind: s.kind, Side: side, In: side.At(s.port), Peer: netip.AddrPortFrom(r.peers[s.peer], s.peerPort),
			Ext: netip.AddrPortFrom(t.HostAddr(), s.port), Seq: 1000, PeerSeq: 500000,
		}
		if s.published {
			session.Ext = t.publishedAt(s.kind)
		}
		r.sessions = append(r.sessions, session)
	}
	for i, name := range deaf() {
		s := t.Open(udp, t.In(name), uint16(29000+i), netip.AddrPortFrom(r.peers[0], 9))
		t.Works(s, "before the trace")
		r.sentinels = append(r.sentinels, s)
	}
	return r
}

// run returns what came of each step.
func (r *replay) run() []string {
	var all []string
	for _, s := range r.trace.steps {
		all = append(all, r.step(s))
	}
	return all
}

// step sends, then sentinels to every tap, and what has arrived until these have is what came of it.
func (r *replay) step(s step) string {
	r.forget()
	packets, out := r.packets(s)
	if packets == nil {
		return "nothing to send"
	}
	if out {
		r.sessions[s.session].Side.Emit(packets...)
	} else {
		r.Out().Emit(packets...)
	}
	for _, s := range r.sentinels {
		payload := r.Tag("sentinel")
		s.Side.Emit(s.OutPacket(payload))
		r.Out().Expect("the sentinel", carrying(payload))
		r.Out().Emit(s.InPacket(payload))
		s.Side.Expect("the sentinel", carrying(payload))
	}
	return r.outcome(s)
}

// packets makes a step's packets, and tells their direction.
func (r *replay) packets(s step) (packets [][]byte, out bool) {
	session, payload := r.sessions[s.session], fmt.Appendf(nil, "session %d of the trace", s.session)
	switch s.op {
	case opOut:
		return [][]byte{session.OutPacket(payload)}, true
	case opIn:
		return [][]byte{session.InPacket(payload)}, false
	case opOutFlags, opOddOut:
		return [][]byte{r.flagged(session, s, true)}, true
	case opInFlags, opOddIn:
		return [][]byte{r.flagged(session, s, false)}, false
	case opStrangerIn:
		from := netip.AddrPortFrom(r.peers[5], peerPort(session.Kind, 999))
		return [][]byte{message(session.Kind, from, session.Ext, payload)}, false
	case opErrorIn:
		return r.complaint(s, r.lastOut, r.peers[5], session.Ext.Addr()), false
	case opErrorOut:
		return r.complaint(s, r.last, session.In.Addr(), session.Peer.Addr()), true
	case opFragmentOut:
		return reorder(wire.Split(message(session.Kind, session.In, session.Peer, large(payload)), 1400, uint32(7000+s.session)), s.n), true
	case opFragmentIn:
		return reorder(wire.Split(message(session.Kind, session.Peer, session.Ext, large(payload)), 1400, uint32(9000+s.session)), s.n), false
	case opTTLOut:
		return [][]byte{messageWith(wire.Header{TTL: uint8(1 + s.n)}, session.Kind, session.In, session.Peer, payload)}, true
	case opTTLIn:
		return [][]byte{messageWith(wire.Header{TTL: uint8(1 + s.n)}, session.Kind, session.Peer, session.Ext, payload)}, false
	case opHeaderOut:
		return [][]byte{messageWith(wire.Header{TOS: 0xb9, TTL: 44, DF: r.V4(), ID: 4321}, session.Kind, session.In, session.Peer, payload)}, true
	case opHeaderIn:
		return [][]byte{messageWith(wire.Header{TOS: 0x2a, TTL: 45, DF: r.V4(), ID: 1234}, session.Kind, session.Peer, session.Ext, payload)}, false
	case opUnmappedIn:
		to := netip.AddrPortFrom(session.Ext.Addr(), uint16(30000+s.session))
		return [][]byte{message(session.Kind, session.Peer, to, payload)}, false
	case opBadOut:
		p := message(session.Kind, session.In, session.Peer, payload)
		p[len(p)-1] ^= 0xff
		return [][]byte{p}, true
	}
	return nil, false
}

func large(payload []byte) []byte { return append(slices.Clone(payload), make([]byte, 3500)...) }

func reorder(pieces [][]byte, n int) [][]byte {
	var all [][]byte
	for _, i := range orders()[n].indices {
		all = append(all, pieces[i])
	}
	return all
}

// flagged is a segment with flags; those of a script move the sequence numbers, odd ones do not.
func (r *replay) flagged(s *Session, st step, out bool) []byte {
	src, dst, seq, ack := s.In, s.Peer, &s.Seq, s.PeerSeq
	if !out {
		src, dst, seq, ack = s.Peer, s.Ext, &s.PeerSeq, s.Seq
	}
	seg := wire.Segment{Flags: st.flags, Seq: *seq}
	if st.flags&wire.ACK != 0 {
		seg.Ack = ack
	}
	if (st.op == opOutFlags || st.op == opInFlags) && st.flags&(wire.SYN|wire.FIN) != 0 {
		*seq++
	}
	return wire.Header{}.TCP(src, dst, seg)
}

// complaint is an ICMP error about what last arrived somewhere.
func (r *replay) complaint(s step, about map[int][]byte, from, to netip.Addr) [][]byte {
	quoted := about[s.session]
	if quoted == nil {
		return nil
	}
	list := icmpErrors(r.V4())
	m := list[(s.n+s.session)%len(list)]
	m.Payload = quoted
	return [][]byte{wire.Header{}.ICMP(from, to, m)}
}

// outcome is all that arrived anywhere, but for sentinels and neighbours' own affairs, without the ports that a NAT chose.
func (r *replay) outcome(s step) string {
	var lines []string
	for _, side := range []*Side{r.Out(), r.In("x1"), r.In("x2"), r.In("y1")} {
		for _, p := range side.Seen() {
			if p.Dst.Addr().IsMulticast() || p.Dst.Addr().IsLinkLocalUnicast() || p.Src.Addr().IsLinkLocalUnicast() ||
				!p.V4 && p.Proto == wire.ICMPv6 && p.Type >= 133 && p.Type <= 137 || strings.HasPrefix(string(p.Payload), "<sentinel") {
				continue
			}
			r.learn(s, side, p)
			lines = append(lines, side.Name+" gets "+r.normal(p))
		}
	}
	if len(lines) == 0 {
		return "nothing arrives"
	}
	slices.Sort(lines)
	return strings.Join(lines, " and ")
}

// learn notes a session's external endpoint, and what errors may quote.
func (r *replay) learn(s step, side *Side, p wire.Packet) {
	session := r.sessions[s.session]
	if p.IsError() || p.Fragmented && p.Offset > 0 {
		return
	}
	// What leaked tells nothing.
	if side.Name == "R" && p.Dst == session.Peer && !container(p.Src.Addr()) {
		if !r.trace.sessions[s.session].published {
			session.Ext = p.Src
		}
		if !p.Fragmented {
			r.lastOut[s.session] = p.Bytes
		}
	}
	if side.Name == session.Side.Name && p.Src == session.Peer && !p.Fragmented {
		r.last[s.session] = p.Bytes
	}
}

// normal describes a packet without what may differ.
func (r *replay) normal(p wire.Packet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "protocol %d from %s to %s ttl %d tos %#x", p.Proto, r.who(p.Src), r.who(p.Dst), p.TTL, p.TOS)
	switch {
	case p.Fragmented:
		fmt.Fprintf(&b, " fragment %d+%d", p.Offset, len(p.L4))
		return b.String()
	case p.Proto == wire.TCP:
		fmt.Fprintf(&b, " %s seq %d ack %d", flagNames(p.Flags), p.Seq, p.Ack)
	case p.IsError():
		fmt.Fprintf(&b, " type %d code %d rest %d", p.Type, p.Code, p.Rest)
		if q, err := p.Quote(); err == nil {
			fmt.Fprintf(&b, " about protocol %d from %s to %s", q.Proto, r.who(q.Src), r.who(q.Dst))
		}
	default:
		fmt.Fprintf(&b, " %d bytes", len(p.Payload))
	}
	// The host leaves its own segments' checksums to hardware that is not there.
	if own := p.Src.Addr() == r.HostAddr() && p.Flags&wire.RST != 0; !own && p.CheckSums() != nil {
		b.WriteString(" wrong checksum")
	}
	return b.String()
}

// who names an address; the host's ports but for the published one are the NAT's choice.
func (r *replay) who(a netip.AddrPort) string {
	if a.Addr() != r.HostAddr() {
		return a.String()
	}
	if a.Port() == publishedX1 {
		return "the published port"
	}
	return "the host"
}
