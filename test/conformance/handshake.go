// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
)

// N11: every way of opening a TCP connection (RFC 5382 REQ-2, RFC 9293 section 3.5).
func handshakeCases() []Case {
	return []Case{
		{ID: "N11", Name: "three-way handshake, data, and both FINs", Run: threeWay},
		{ID: "N11", Name: "three-way handshake to a published port", Run: threeWayIn},
		{ID: "N11", Name: "simultaneous open", Run: simultaneousOpen},
		{ID: "N11", Name: "split handshake", Run: splitHandshake},
		{ID: "N11", Name: "repeated SYN, and a SYN with data", Run: repeatedSYN},
		{ID: "N11", Name: "sockets, both directions", Run: sockets},
		{ID: "N11", Name: "a port used again after it was closed", Run: reopened},
	}
}

// pass sends a segment from one side and wants it on the other one, under the addresses that it has there.
func (t *T) pass(what string, from, to *Side, src, dst, seenSrc, seenDst netip.AddrPort, s wire.Segment) {
	from.Emit(wire.Header{}.TCP(src, dst, s))
	p := to.Expect(what, func(p *wire.Packet) bool {
		return p.Proto == wire.TCP && p.Flags == s.Flags && p.Seq == s.Seq && p.Src == seenSrc && p.Dst == seenDst
	})
	if p.Ack != s.Ack || string(p.Payload) != string(s.Payload) {
		t.Errorf("%s arrives changed: %v", what, p)
	}
}

// outward and inward pass segments of a session.
func (t *T) outward(s *Session, what string, seg wire.Segment) {
	t.pass(what, s.Side, t.Out(), s.In, s.Peer, s.Ext, s.Peer, seg)
}

func (t *T) inward(s *Session, what string, seg wire.Segment) {
	t.pass(what, t.Out(), s.Side, s.Peer, s.Ext, s.Peer, s.In, seg)
}

// close passes both FINs and their acknowledgements.
func (t *T) close(s *Session) {
	const finAck = wire.FIN | wire.ACK
	t.outward(s, "FIN", wire.Segment{Flags: finAck, Seq: s.Seq, Ack: s.PeerSeq})
	t.inward(s, "ACK of the FIN", wire.Segment{Flags: wire.ACK, Seq: s.PeerSeq, Ack: s.Seq + 1})
	t.inward(s, "FIN of the peer", wire.Segment{Flags: finAck, Seq: s.PeerSeq, Ack: s.Seq + 1})
	t.outward(s, "last ACK", wire.Segment{Flags: wire.ACK, Seq: s.Seq + 1, Ack: s.PeerSeq + 1})
}

func threeWay(t *T) {
	s := t.Open(tcp, t.In("x1"), t.Port(), netip.AddrPortFrom(t.Peer(), 80))
	for range 3 {
		t.Works(s, "established")
	}
	t.close(s)
}

// published is a session that a peer opens to x1's published port, after its SYN has arrived.
func (t *T) published(peer netip.AddrPort) *Session {
	x1 := t.In("x1")
	s := &Session{Kind: tcp, Side: x1, In: x1.At(portX1), Ext: t.publishedAt(tcp), Peer: peer, Seq: t.Seq(), PeerSeq: t.Seq()}
	t.inward(s, "SYN to the published port", wire.Segment{Flags: wire.SYN, Seq: s.PeerSeq})
	s.PeerSeq++
	return s
}

func threeWayIn(t *T) {
	s := t.published(netip.AddrPortFrom(t.Peer(), t.Port()))
	t.outward(s, "SYN and ACK", wire.Segment{Flags: wire.SYN | wire.ACK, Seq: s.Seq, Ack: s.PeerSeq})
	s.Seq++
	t.inward(s, "ACK", wire.Segment{Flags: wire.ACK, Seq: s.PeerSeq, Ack: s.Seq})
	t.Works(s, "established")
	t.close(s)
}

// simultaneousOpen is figure 8 of RFC 9293: the SYNs cross.
func simultaneousOpen(t *T) {
	s := t.halfOpen()
	t.inward(s, "the peer's own SYN", wire.Segment{Flags: wire.SYN, Seq: s.PeerSeq})
	t.outward(s, "SYN and ACK", wire.Segment{Flags: wire.SYN | wire.ACK, Seq: s.Seq - 1, Ack: s.PeerSeq + 1})
	t.inward(s, "the peer's SYN and ACK", wire.Segment{Flags: wire.SYN | wire.ACK, Seq: s.PeerSeq, Ack: s.Seq})
	s.PeerSeq++
	t.outward(s, "ACK", wire.Segment{Flags: wire.ACK, Seq: s.Seq, Ack: s.PeerSeq})
	t.Works(s, "opened from both sides")
}

// halfOpen is a session after x1's SYN.
func (t *T) halfOpen() *Session {
	x1 := t.In("x1")
	s := &Session{Kind: tcp, Side: x1, In: x1.At(t.Port()), Peer: netip.AddrPortFrom(t.Peer(), t.Port()), Seq: t.Seq(), PeerSeq: t.Seq()}
	x1.Emit(wire.Header{}.TCP(s.In, s.Peer, wire.Segment{Flags: wire.SYN, Seq: s.Seq}))
	s.Ext = t.Out().Expect("SYN", numbered(s.Seq, s.Peer)).Src
	s.Seq++
	return s
}

// splitHandshake: the peer acknowledges first and sends its SYN afterwards.
func splitHandshake(t *T) {
	s := t.halfOpen()
	t.inward(s, "bare ACK of the SYN", wire.Segment{Flags: wire.ACK, Seq: s.PeerSeq, Ack: s.Seq})
	t.inward(s, "the peer's SYN", wire.Segment{Flags: wire.SYN, Seq: s.PeerSeq})
	s.PeerSeq++
	t.outward(s, "SYN and ACK", wire.Segment{Flags: wire.SYN | wire.ACK, Seq: s.Seq - 1, Ack: s.PeerSeq})
	t.inward(s, "ACK", wire.Segment{Flags: wire.ACK, Seq: s.PeerSeq, Ack: s.Seq})
	t.Works(s, "opened by a split handshake")
}

func repeatedSYN(t *T) {
	s := t.halfOpen()
	t.Out().Reset()
	t.outward(s, "the same SYN again", wire.Segment{Flags: wire.SYN, Seq: s.Seq - 1})
	t.Out().Reset()
	data := t.Tag("data in the SYN")
	t.outward(s, "SYN with data", wire.Segment{Flags: wire.SYN, Seq: s.Seq - 1, Payload: data})
	s.Seq += uint32(len(data))
	t.inward(s, "SYN and ACK", wire.Segment{Flags: wire.SYN | wire.ACK, Seq: s.PeerSeq, Ack: s.Seq})
	s.PeerSeq++
	t.outward(s, "ACK", wire.Segment{Flags: wire.ACK, Seq: s.Seq, Ack: s.PeerSeq})
	t.Works(s, "opened at the second attempt")
}

// sockets are kernels with all that they put into a SYN.
func sockets(t *T) {
	seen := t.whoami(t.Target.Container("c1"), t.RemoteServer())
	if t.Lab.Name != Router && seen.Peer.Addr() != t.HostAddr() {
		t.Errorf("%s, want it to see %s", seen, t.HostAddr())
	}
	seen = t.whoami(t.Topology.Remote, t.ContainerServer(tcp))
	if want := t.RemoteServer().Addr(); seen.Peer.Addr() != want {
		t.Errorf("%s, want it to see %s", seen, want)
	}
}

func (t *T) whoami(from *netlab.Namespace, at netip.AddrPort) netlab.Seen {
	seen, err := netlab.WhoAmI(t.ctx, from, tcp, at, netlab.WhoAmIOptions{Timeout: t.patience})
	t.must(err)
	return seen
}

// reopened: a SYN on a closed session begins afresh (RFC 7857 section 2).
func reopened(t *T) {
	port, peer := t.Port(), netip.AddrPortFrom(t.Peer(), 80)
	t.close(t.Open(tcp, t.In("x1"), port, peer))
	t.Out().Reset()
	t.In("x1").Reset()
	s := t.Open(tcp, t.In("x1"), port, peer)
	t.Works(s, "opened again")
}
