// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/vethway/vethway/test/conformance/wire"
	"github.com/vethway/vethway/test/netlab"
	"github.com/vethway/vethway/test/rivals"
)

// How long to wait for what should come, the same where it is known that it will not, and for what should not come.
const (
	patience = 2 * time.Second
	hurry    = 200 * time.Millisecond
	silence  = 80 * time.Millisecond
)

// T is one run of a case over one family. It is a netlab.TB: a failure is noted, not a failure of a test, since what a
// rival fails is as good a result as any.
type T struct {
	*Lab
	Family rivals.Family

	ctx      context.Context
	patience time.Duration
	failures []string
	skip     string
	cleanups []func()
}

var _ netlab.TB = (*T)(nil)

// runCase runs a case, and returns its result.
func runCase(ctx context.Context, c Case, lab *Lab, f rivals.Family, patience time.Duration) Result {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t := &T{Lab: lab, Family: f, ctx: ctx, patience: patience}
	lab.forget()
	before, _ := lab.drops(ctx) // for the note only
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.cleanup()
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		c.Run(t)
	}()
	<-done
	r := Result{ID: c.ID, Case: c.Name, Family: f.String(), Target: lab.Name, Result: Pass, Note: strings.Join(t.failures, "; ")}
	switch {
	case len(t.failures) > 0:
		r.Result = Fail
		if after, err := lab.drops(ctx); err == nil && after.since(before) != "" {
			r.Note += " (dropped: " + after.since(before) + ")"
		}
	case t.skip != "":
		r.Result, r.Note = NotApplicable, t.skip
	}
	return r
}

func (t *T) cleanup() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// Helper is for netlab.TB.
func (t *T) Helper() {}

// Cleanup has f called when the case is over.
func (t *T) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// Context ends with the case.
func (t *T) Context() context.Context { return t.ctx }

// Name is for messages.
func (t *T) Name() string { return t.Lab.Name + " " + t.Family.String() }

// Errorf notes what is wrong, and goes on.
func (t *T) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

// Fatalf notes what is wrong, and ends the case.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// NotApplicable ends the case: it cannot be asked here.
func (t *T) NotApplicable(why string) {
	t.skip = why
	runtime.Goexit()
}

// must ends the case on an error.
func (t *T) must(err error) {
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// V4 tells the family.
func (t *T) V4() bool { return t.Family == rivals.IPv4 }

// Peer is an address behind R that no kernel owns, and no other case uses.
func (t *T) Peer() netip.Addr { return t.peerAt(t.nextPeer.Add(1)) }

// peerAt is the one with a number.
func (t *T) peerAt(n uint32) netip.Addr {
	if t.V4() {
		a := netip.MustParsePrefix(peers4).Addr().As4()
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+n)
		return netip.AddrFrom4(a)
	}
	a := netip.MustParsePrefix(peers6).Addr().As16()
	binary.BigEndian.PutUint32(a[12:], n)
	return netip.AddrFrom16(a)
}

// HostAddr is the host's address on the uplink.
func (t *T) HostAddr() netip.Addr {
	if t.V4() {
		return t.way.host4
	}
	return t.way.host6
}

// RemoteServer is where R's own server listens.
func (t *T) RemoteServer() netip.AddrPort {
	return netip.AddrPortFrom(t.Topology.RemoteAddr(t.HostAddr()), portR)
}

// ContainerServer is where R finds c1's server.
func (t *T) ContainerServer(network string) netip.AddrPort { return t.reach("c1", network) }

// reach is where R finds the port that a container publishes.
func (t *T) reach(container, network string) netip.AddrPort {
	_, c, err := spec().Container(container)
	t.must(err)
	for _, p := range c.Publish {
		if p.Proto == network {
			at, err := t.Target.Reach(container, p, t.Family)
			t.must(err)
			if t.Lab.Name != Router {
				at = netip.AddrPortFrom(t.HostAddr(), at.Port())
			}
			return at
		}
	}
	t.Fatalf("%s publishes nothing over %s", container, network)
	return netip.AddrPort{}
}

// In is the side of a container whose kernel is deaf.
func (t *T) In(name string) *Side { return t.side(t.Lab.inside[name]) }

// Out is R's side.
func (t *T) Out() *Side { return t.side(t.Lab.outside) }

func (t *T) side(s *station) *Side {
	side := &Side{t: t, Tap: s.tap, Name: s.name, Addr: s.addr6}
	if t.V4() {
		side.Addr = s.addr4
	}
	return side
}

// Side is one end of the NAT for one case.
type Side struct {
	*wire.Tap
	Name string
	Addr netip.Addr // invalid for R, whose peers have many
	t    *T
}

// At is the side's address with a port.
func (s *Side) At(port uint16) netip.AddrPort { return netip.AddrPortFrom(s.Addr, port) }

// Emit sends packets, in order.
func (s *Side) Emit(packets ...[]byte) {
	for _, p := range packets {
		s.t.must(s.Send(p))
	}
}

// Try waits for one packet; nil: it did not come.
func (s *Side) Try(match func(*wire.Packet) bool) *wire.Packet {
	ctx, cancel := context.WithTimeout(s.t.ctx, s.t.patience)
	defer cancel()
	got, err := s.Wait(ctx, 1, match)
	if err != nil {
		return nil
	}
	return &got[0]
}

// Expect waits for a packet, whose checksums must be right, and ends the case when it does not come.
func (s *Side) Expect(what string, match func(*wire.Packet) bool) *wire.Packet {
	p := s.Try(match)
	if p == nil {
		s.t.Fatalf("%s does not arrive at %s%s", what, s.Name, s.arrived())
	}
	if err := p.CheckSums(); err != nil {
		s.t.Errorf("%s arrives at %s, but %v: %v", what, s.Name, err, p)
	}
	return p
}

// ExpectN waits for n packets.
func (s *Side) ExpectN(n int, what string, match func(*wire.Packet) bool) []wire.Packet {
	ctx, cancel := context.WithTimeout(s.t.ctx, s.t.patience)
	defer cancel()
	got, err := s.Wait(ctx, n, match)
	if err != nil {
		s.t.Fatalf("of %d of %s %d arrive at %s%s", n, what, len(got), s.Name, s.arrived())
	}
	return got
}

// Never waits a moment, and nothing that matches may have come.
func (s *Side) Never(what string, match func(*wire.Packet) bool) {
	ctx, cancel := context.WithTimeout(s.t.ctx, silence)
	defer cancel()
	if got, err := s.Wait(ctx, 1, match); err == nil {
		s.t.Errorf("%s arrives at %s: %v", what, s.Name, got[0])
	}
}

// arrived describes what came instead.
func (s *Side) arrived() string {
	seen := slices.DeleteFunc(slices.Clone(s.Seen()), func(p wire.Packet) bool { return p.Dst.Addr().IsMulticast() })
	if len(seen) == 0 {
		return " (nothing does)"
	}
	var b strings.Builder
	if len(seen) > 3 {
		fmt.Fprintf(&b, " (the last 3 of %d packets: ", len(seen))
		seen = seen[len(seen)-3:]
	} else {
		b.WriteString(" (what does: ")
	}
	for i, p := range seen {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(p.String())
	}
	return b.String() + ")"
}
