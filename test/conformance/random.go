// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"
)

// N18: who can guess external ports can send into sessions blindly (RFC 7857 section 9, RFC 6056).
func randomCases() []Case {
	return []Case{
		{ID: "N18", Name: "udp ports that are not kept", NAT: true, Run: func(t *T) { unguessable(t, udp) }},
		{ID: "N18", Name: "tcp ports that are not kept", NAT: true, Run: func(t *T) { unguessable(t, tcp) }},
		{ID: "N18", Name: "ping identifiers that are not kept", NAT: true, Run: func(t *T) { unguessable(t, ping) }},
	}
}

// unguessable has x2 ask for ports that x1 has. What it gets instead must not follow from what it got before.
func unguessable(t *T, kind string) {
	const samples = 64
	peer := netip.AddrPortFrom(t.Peer(), peerPort(kind, 99))
	var got []int
	for range samples {
		port := t.Port()
		t.Open(kind, t.In("x1"), port, peer)
		s := t.Open(kind, t.In("x2"), port, peer)
		if s.Ext.Port() == port {
			t.Fatalf("%s and x1 both have %s", s.In, s.Ext)
		}
		got = append(got, int(s.Ext.Port()))
	}
	steps := map[int]int{}
	low, high := got[0], got[0]
	near := 0
	for i, port := range got[1:] {
		step := port - got[i]
		steps[step]++
		if -64 < step && step < 64 {
			near++
		}
		low, high = min(low, port), max(high, port)
	}
	for step, n := range steps {
		if n > 3 {
			t.Errorf("%d of %d times the next port is %+d from the last", n, samples, step)
		}
	}
	if near > samples/8 {
		t.Errorf("%d of %d ports are within 64 of the one before", near, samples)
	}
	// Of 64 even draws hardly any run keeps to half of the range.
	if high-low < 15000 {
		t.Errorf("all of %d ports are from %d to %d", samples, low, high)
	}
}
