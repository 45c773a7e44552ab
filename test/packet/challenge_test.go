// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// What the guards of the arena look for, if a shot says so.
const (
	closedFirst, closedLast = 2000, 60999
	pace                    = 3600e9   // nanoseconds that a flow costs: no fuzzing takes as long
	patience                = 2 * pace // that a source may be ahead

	hostPortTCP, hostPortUDP = 7400, 7401 // sockets of the host
)

// deniedSources has neighbours on it, and some that only tun0 can show.
var deniedSources = []netip.Prefix{
	netip.MustParsePrefix("203.0.113.64/26"), netip.MustParsePrefix("198.51.100.77/32"), netip.MustParsePrefix("8.0.0.128/25"),
	netip.MustParsePrefix("2001:db8:bad::/48"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("2001:db8:86dd:0:bad::/80"),
}

func (a *arena) furnishGuards(t testing.TB) error {
	for _, p := range deniedSources {
		a.deny(t, p)
	}
	for _, at := range []struct{ tcp, udp, any string }{{"tcp4", "udp4", "0.0.0.0"}, {"tcp6", "udp6", "::"}} {
		l, err := net.ListenTCP(at.tcp, &net.TCPAddr{IP: net.ParseIP(at.any), Port: hostPortTCP})
		if err != nil {
			return err
		}
		c, err := net.ListenUDP(at.udp, &net.UDPAddr{IP: net.ParseIP(at.any), Port: hostPortUDP})
		if err != nil {
			return errors.Join(err, l.Close())
		}
		a.sockets = append(a.sockets, l, c)
	}
	return nil
}

// rules sets what the guards look for.
func (a *arena) rules(how byte) error {
	v := bpf.VethwayGuardValue{ClosedFirst: closedFirst, ClosedLast: closedLast, Burst: patience}
	if how&howDenied != 0 {
		v.Flags |= uint32(maps.GuardDenied)
	}
	if how&howClosed != 0 {
		v.Flags |= uint32(maps.GuardClosed)
	}
	if how&howPaced != 0 {
		v.Interval = pace
	}
	return a.Guards.Put(uint32(0), v)
}

// challenge sends a packet to all guards of a place: each must say of it what its bytes and the tables say, and leave it alone.
func (a *arena) challenge(s shot, frame []byte, ctx skBuff) error {
	if err := a.rules(s.how); err != nil {
		return err
	}
	p, in := s.place(), frame
	posts := a.guardPosts()
	if p.bare() {
		if in = frame[ethLen:]; len(in) < ethLen {
			return nil // no test run takes it
		}
		posts = []guardPost{{name: "vw_guard_tun", prog: a.GuardTun, hook: bpf.VethwayHookHOOK_GUARD, pass: next, drop: drop}}
	}
	// Without a link-layer header too, that is where a test run finds it.
	g, ok := look(frame[ethLen:], binary.BigEndian.Uint16(in[12:]))
	ctx.Ifindex = a.uplinks[p.from].ifindex
	for _, post := range posts {
		if err := a.ask(post, s.how, in, ctx, g, ok); err != nil {
			return fmt.Errorf("%s: %w", post.name, err)
		}
	}
	return nil
}

// ask sends a packet to one of them.
func (a *arena) ask(post guardPost, how byte, in []byte, ctx skBuff, g glimpse, ok bool) error {
	var want reason
	var paced bool
	if ok {
		var err error
		if want, paced, err = a.expect(how, g); err != nil {
			return err
		}
	}
	source := sourceOf(g.src)
	var due, dueAfter bpf.VethwaySourceValue
	known := a.Sources.Lookup(source, &due) == nil
	before, err := a.counted(post.hook)
	if err != nil {
		return err
	}
	from := monotonic()
	r, err := post.send(in, ctx)
	to := monotonic()
	if tooShort(err, in) {
		return nil
	}
	if err != nil {
		return err
	}
	if knownAfter := a.Sources.Lookup(source, &dueAfter) == nil; knownAfter != (known || paced) {
		return fmt.Errorf("the source is known: %t before, %t after", known, knownAfter)
	}
	if paced {
		if r.verdict == post.drop {
			want = bpf.VethwayDropReasonDROP_SOURCE_RATE
		}
		err = judgePace(max(due.Due, from), max(due.Due, to), due.Due, dueAfter.Due, from, to, want != 0)
	} else if due != dueAfter {
		err = fmt.Errorf("the source pays for what begins nothing")
	}
	return errors.Join(err, a.judgeVerdict(post, want, in, ctx, r, before))
}

// judgePace judges one step of a source's token bucket, at a time between from and to.
func judgePace(first, last, was, is, from, to uint64, dropped bool) error {
	switch {
	case dropped && (first-from <= patience || is != was):
		return fmt.Errorf("dropped when it was %d ns ahead, and is %d later", was-from, is-from)
	case !dropped && last > to+patience:
		return fmt.Errorf("let in when it was %d ns ahead", last-to)
	case !dropped && (is < first+pace || is > last+pace):
		return fmt.Errorf("let in at the price of %d ns", is-first)
	}
	return nil
}

// judgeVerdict judges what became of a packet, and what was counted.
func (a *arena) judgeVerdict(post guardPost, want reason, in []byte, ctx skBuff, r result, before map[reason]uint64) error {
	after, err := a.counted(post.hook)
	if err != nil {
		return err
	}
	verdict := post.pass
	if want != 0 {
		verdict = post.drop
	}
	for why, n := range after {
		more := n - before[why]
		if why == want && more != 1 || why != want && more != 0 {
			return fmt.Errorf("counts %d drops for %v, and is to drop for %v", more, why, want)
		}
	}
	if r.verdict != verdict {
		return fmt.Errorf("verdict %d, want %d for %v", r.verdict, verdict, want)
	}
	if want == 0 && (!bytes.Equal(r.out, in) || !post.xdp && (r.ctx.Mark != ctx.Mark || r.ctx.Priority != ctx.Priority || r.ctx.CB != ctx.CB)) {
		return fmt.Errorf("was changed to %x", r.out)
	}
	if want != bpf.VethwayDropReasonDROP_CLOSED_PORT || post.name != "vw_guard" {
		return nil
	}
	// Closed is what nobody would have taken.
	r, err = run(a.FromUplink, in, ctx)
	if err == nil && r.verdict == redirect {
		err = errors.New("keeps from the host what it would have translated")
	}
	return err
}

// counted are the drops that a guard has counted.
func (a *arena) counted(h hook) (map[reason]uint64, error) {
	all := map[reason]uint64{}
	for _, why := range []reason{bpf.VethwayDropReasonDROP_DENIED, bpf.VethwayDropReasonDROP_CLOSED_PORT, bpf.VethwayDropReasonDROP_SOURCE_RATE} {
		var perCPU []bpf.VethwayCounterValue
		err := a.Counters.Lookup(bpf.VethwayCounterKey{Hook: h, Reason: why}, &perCPU)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, err
		}
		all[why] = 0
		for _, v := range perCPU {
			all[why] += v.Packets
		}
	}
	return all, nil
}

// sourceOf is who pays for what an address begins.
func sourceOf(src netip.Addr) bpf.VethwayAddr {
	if !src.IsValid() {
		return bpf.VethwayAddr{}
	}
	key := toAddr(src)
	if src.Is6() {
		clear(key.B[8:])
	}
	return key
}

func monotonic() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return uint64(now.Nano())
}

// judgeUntouched checks that a guard leaves the tables alone that are not its own.
func (a *arena) judgeUntouched(prog string) error {
	if prog != "guard" && prog != "guard tun" {
		return nil
	}
	if a.flows.touched() || a.bindings.touched() || a.fragments.touched() || a.origins.touched() || a.splices.touched() {
		return errors.New("a guard has changed somebody else's table")
	}
	return nil
}
