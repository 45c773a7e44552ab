// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/vethway/vethway/test/conformance/wire"
)

// A trace is traffic that was made up once, to be sent through two NATs: sessions of all kinds, between containers and
// peers, step by step interleaved. Every step is one packet, or the fragments of one.
type trace struct {
	sessions []tracedSession
	steps    []step
}

// tracedSession is who talks to whom. A published one is begun by the peer.
type tracedSession struct {
	kind      string
	side      string
	port      uint16
	peer      int
	peerPort  uint16
	published bool
}

// step is what happens next to a session.
type step struct {
	session int
	op      op
	flags   uint8 // of TCP
	n       int   // which of several errors, orders, TTLs, protocols
}

// op names what is sent.
type op string

// The operations: "in" is what a peer sends, "out" what a container sends.
const (
	opOut         op = "message out"
	opIn          op = "message in"
	opOutFlags    op = "segment out"
	opInFlags     op = "segment in"
	opOddOut      op = "odd segment out"
	opOddIn       op = "odd segment in"
	opStrangerIn  op = "stranger's message in"
	opErrorIn     op = "error in"
	opErrorOut    op = "error out"
	opFragmentOut op = "fragments out"
	opFragmentIn  op = "fragments in"
	opTTLOut      op = "TTL out"
	opTTLIn       op = "TTL in"
	opHeaderOut   op = "header out"
	opHeaderIn    op = "header in"
	opUnmappedIn  op = "message to an unmapped port"
	opBadOut      op = "damaged message out"
)

// out tells the direction.
func (s step) out() bool {
	switch s.op {
	case opOut, opOutFlags, opOddOut, opErrorOut, opFragmentOut, opTTLOut, opHeaderOut, opBadOut:
		return true
	}
	return false
}

// describe is for messages.
func (s step) describe(t trace) string {
	session := t.sessions[s.session]
	text := fmt.Sprintf("%s %s", session.kind, s.op)
	if session.published {
		text = "published " + text
	}
	switch s.op {
	case opOutFlags, opInFlags, opOddOut, opOddIn:
		return text + " " + flagNames(s.flags)
	case opErrorIn, opErrorOut, opTTLIn, opTTLOut:
		return fmt.Sprintf("%s %d", text, s.n)
	}
	return text
}

func flagNames(flags uint8) string {
	var s []byte
	for i, c := range "FSRPAU" {
		if flags&(1<<i) != 0 {
			s = append(s, byte(c))
		}
	}
	return "[" + string(s) + "]"
}

// The traces' sizes: sessions, and what may happen to each in between.
const tracedSessions, oddities = 40, 3

// newTrace makes a trace up. The same seed makes the same.
func newTrace(seed uint64) trace {
	r := rand.New(rand.NewPCG(seed, 22))
	var t trace
	var scripts [][]step
	for i := range tracedSessions {
		s := tracedSession{
			kind: []string{udp, tcp, tcp, ping}[r.IntN(4)], side: deaf()[r.IntN(3)],
			port: uint16(10000 + r.IntN(8)*17), peer: 1 + r.IntN(4), peerPort: uint16(2000 + i),
		}
		if s.published = s.kind != ping && r.IntN(3) == 0; s.published {
			s.side, s.port = "x1", portX1
		}
		s.peerPort = peerPort(s.kind, s.peerPort)
		if s.kind == ping {
			s.port = uint16(20000 + i)
		}
		t.sessions = append(t.sessions, s)
		scripts = append(scripts, script(r, i, s))
	}
	// Interleaved: each script in its own order.
	for left := len(scripts); left > 0; {
		i := r.IntN(len(scripts))
		if len(scripts[i]) == 0 {
			continue
		}
		t.steps = append(t.steps, scripts[i][0])
		if scripts[i] = scripts[i][1:]; len(scripts[i]) == 0 {
			left--
		}
	}
	return t
}

// script is what one session does.
func script(r *rand.Rand, i int, s tracedSession) []step {
	var steps []step
	add := func(o op, flags uint8, n int) { steps = append(steps, step{i, o, flags, n}) }
	first, second := opOut, opIn
	firstFlags, secondFlags := opOutFlags, opInFlags
	if s.published {
		first, second = second, first
		firstFlags, secondFlags = secondFlags, firstFlags
	}
	if s.kind == tcp {
		add(firstFlags, wire.SYN, 0)
		add(secondFlags, wire.SYN|wire.ACK, 0)
		add(firstFlags, wire.ACK, 0)
	}
	for range 1 + r.IntN(3) {
		add(first, 0, 0)
		add(second, 0, 0)
	}
	if s.kind == tcp {
		switch r.IntN(4) {
		case 0:
			add(firstFlags, wire.FIN|wire.ACK, 0)
			add(secondFlags, wire.FIN|wire.ACK, 0)
			add(firstFlags, wire.ACK, 0)
		case 1:
			add(secondFlags, wire.RST|wire.ACK, 0)
		case 2:
			add(firstFlags, wire.RST|wire.ACK, 0)
		}
	}
	for range r.IntN(oddities + 1) {
		at := r.IntN(len(steps)) + 1
		steps = slices.Insert(steps, at, oddity(r, i, s))
	}
	return steps
}

// oddity is something that happens besides.
func oddity(r *rand.Rand, i int, s tracedSession) step {
	ops := []op{
		opStrangerIn, opErrorIn, opFragmentOut, opFragmentIn, opTTLOut, opTTLIn, opHeaderOut, opHeaderIn, opUnmappedIn, opBadOut,
	}
	if s.published {
		ops = append(ops, opErrorOut)
	}
	if s.kind == tcp {
		// Segments are not fragmented, and have flags instead.
		ops = []op{opErrorIn, opTTLOut, opTTLIn, opHeaderOut, opOddOut, opOddIn, opOddOut, opOddIn, opStrangerIn, opUnmappedIn, opBadOut}
	}
	odd := []uint8{0, wire.FIN, wire.SYN | wire.FIN, wire.FIN | wire.PSH | wire.URG, wire.SYN | wire.RST, wire.ACK, wire.RST, wire.URG}
	return step{i, ops[r.IntN(len(ops))], odd[r.IntN(len(odd))], r.IntN(3)}
}
