// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// session is the two entries of a flow. The reply may be missing.
type session struct {
	key        maps.FlowKey
	flow       maps.Flow
	replyKey   maps.FlowKey
	reply      maps.Flow
	hasReply   bool
	network    uint16  // 0 also where a scan did not have to know
	owner      uint32  // see places.owner; of a scan
	keeps      [2]bool // whether packets of either direction keep it
	holdsPort  bool
	now        uint32
	generation uint32 // that of the slot, read after the entry
}

// pair looks for the other entry of an original one.
func (d *Dataplane) pair(key maps.FlowKey, flow maps.Flow) (session, error) {
	s := session{key: key, flow: flow, replyKey: flow.Reverse(key.Proto), generation: d.slots.generation(flow.Slot)}
	reply, ok, err := d.maps.Flows.Lookup(s.replyKey)
	if err != nil {
		return s, err
	}
	s.reply, s.hasReply = reply, ok
	p := d.policy.Load()
	s.network, s.holdsPort = p.places.network(&key, &flow), holdsPort(&flow)
	s.keeps = [2]bool{p.keeps(&key, &flow), p.keeps(&s.replyKey, &reply)}
	s.now = uint32(d.cfg.Clock() / time.Second)
	return s, nil
}

// idle is the time since the last packet that keeps it.
func (s *session) idle() uint32 {
	ours, theirs := maps.Age(s.now, s.flow.Seen), maps.Age(s.now, s.reply.Seen)
	switch {
	case !s.hasReply || !s.keeps[1]:
		return ours
	case !s.keeps[0]:
		return theirs
	}
	return min(ours, theirs)
}

// silent is the time since the last packet of either direction.
func (s *session) silent() uint32 {
	silent := maps.Age(s.now, s.flow.Seen)
	if s.hasReply {
		silent = min(silent, maps.Age(s.now, s.reply.Seen))
	}
	return silent
}

func (s *session) stale() bool { return s.flow.Generation != s.generation }

// twoWay reports whether the other side has answered.
func (s *session) twoWay() bool { return s.hasReply && s.reply.Packets > 0 }

// closed reports whether a TCP session is over.
func (s *session) closed() bool {
	return s.key.Proto == unix.IPPROTO_TCP &&
		((s.flow.TCPFlags|s.reply.TCPFlags)&maps.TCPRst != 0 || s.flow.TCPFlags&s.reply.TCPFlags&maps.TCPFin != 0)
}

// established reports whether both sides of a TCP session have acknowledged something and at least one has more to say
// (RFC 7857 section 2): after the FIN of one, the other may go on for as long as it likes.
func (s *session) established() bool {
	both, either := s.flow.TCPFlags&s.reply.TCPFlags, s.flow.TCPFlags|s.reply.TCPFlags
	return both&maps.TCPAck != 0 && both&maps.TCPFin == 0 && either&maps.TCPRst == 0
}

// embryonic sessions have nothing to lose yet: nobody answered, or the handshake is not complete.
func (s *session) embryonic() bool {
	if s.key.Proto == unix.IPPROTO_TCP {
		return s.flow.TCPFlags&s.reply.TCPFlags&maps.TCPAck == 0
	}
	return !s.twoWay()
}

// state names what a session is at, in the words of the kernel's own connection tracking.
func (s *session) state() string {
	if s.key.Proto != unix.IPPROTO_TCP {
		if s.twoWay() {
			return "ASSURED"
		}
		return "UNREPLIED"
	}
	ours, theirs := s.flow.TCPFlags, s.reply.TCPFlags
	switch {
	case (ours|theirs)&maps.TCPRst != 0:
		return "CLOSE"
	case ours&theirs&maps.TCPFin != 0:
		return "TIME_WAIT"
	case ours&maps.TCPFin != 0:
		return "FIN_WAIT"
	case theirs&maps.TCPFin != 0:
		return "CLOSE_WAIT"
	case ours&theirs&maps.TCPAck != 0:
		return "ESTABLISHED"
	case theirs != 0:
		return "SYN_RECV"
	default:
		return "SYN_SENT"
	}
}

func (d *Dataplane) describe(s *session) control.Flow {
	return control.Flow{
		Proto: maps.ProtocolName(s.key.Proto), Kind: d.maps.Names.FlowKind(s.flow.Kind),
		Original: control.Tuple{Src: s.key.Src, Dst: s.key.Dst},
		Reply:    control.Tuple{Src: s.replyKey.Src, Dst: s.replyKey.Dst},
		State:    s.state(), Network: uint32(s.network),
		Packets: s.flow.Packets, Bytes: s.flow.Bytes, RPackets: s.reply.Packets, RBytes: s.reply.Bytes,
		Idle: time.Duration(s.idle()) * time.Second, Timeout: d.policy.Load().timeout(s), Stale: s.stale(),
	}
}

// sessions calls yield for every session until it returns false or an error.
func (d *Dataplane) sessions(ctx context.Context, yield func(session) (bool, error)) error {
	var inner error
	err := d.maps.Flows.Each(func(key maps.FlowKey, flow maps.Flow) bool {
		if inner = ctx.Err(); inner != nil {
			return false
		}
		if flow.Flags&maps.FlowReply != 0 {
			return true
		}
		var s session
		if s, inner = d.pair(key, flow); inner != nil {
			return false
		}
		var more bool
		more, inner = yield(s)
		return more && inner == nil
	})
	if err == nil {
		err = inner
	}
	return err
}

// Flows implements control.Dataplane.
func (d *Dataplane) Flows(ctx context.Context, yield func(control.Flow) bool) error {
	more, err := d.splices(ctx, yield)
	if more {
		err = d.sessions(ctx, func(s session) (bool, error) { return yield(d.describe(&s)), nil })
	}
	if err != nil {
		return fmt.Errorf("list flows: %w", err)
	}
	return nil
}

// Flush implements control.Dataplane.
func (d *Dataplane) Flush(ctx context.Context, match func(control.Flow) bool) (int, error) {
	flushed := 0
	err := d.sessions(ctx, func(s session) (bool, error) {
		if !match(d.describe(&s)) {
			return true, nil
		}
		gone, err := d.end(&s)
		if gone {
			flushed++
		}
		return true, err
	})
	if err != nil {
		return flushed, fmt.Errorf("flush flows: %w", err)
	}
	return flushed, nil
}

// endTries is more than enough: an entry's time changes once a second.
const endTries = 5

// end deletes a session whatever goes on in it, by the program that also knows what it counted against. One that is only
// half there is being made or deleted at this moment, and is left to that.
func (d *Dataplane) end(s *session) (gone bool, err error) {
	for range endTries {
		if gone, err = d.loader.Collect(s.key, s.replyKey, s.flow.Seen, s.reply.Seen); gone || err != nil {
			return gone, err
		}
		flow, ok, err := d.maps.Flows.Lookup(s.key)
		if err != nil || !ok {
			return false, err
		}
		if *s, err = d.pair(s.key, flow); err != nil || !s.hasReply {
			return false, err
		}
	}
	return false, nil
}
