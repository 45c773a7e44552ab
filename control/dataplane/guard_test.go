// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// Programs that drop early are where they are wanted while there is something to drop, and nowhere else.
func TestGuard(t *testing.T) {
	behaviour.NeedRoot(t)
	f := newFixture(t)
	denied := []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:bad::/48")}
	for _, tc := range []struct {
		name   string
		change func(*control.DataplaneState)
		guard  maps.Guard
		denied int
		on     loader.Guard
	}{
		{"nothing to drop", func(s *control.DataplaneState) { s.Uplinks[0].XDP = control.XDPNative }, maps.Guard{}, 0, loader.NoGuard},
		{"denied", func(s *control.DataplaneState) { s.Denied = denied }, maps.Guard{Flags: maps.GuardDenied}, 2, loader.GuardTC},
		{"one less, native", func(s *control.DataplaneState) {
			s.Denied, s.Uplinks[0].XDP = denied[:1], control.XDPNative
		}, maps.Guard{Flags: maps.GuardDenied}, 1, loader.GuardXDP},
		{"closed ports, generic", func(s *control.DataplaneState) {
			s.ClosedPorts, s.Uplinks[0].XDP = control.PortSpan{First: 1, Last: 1023}, control.XDPGeneric
		}, maps.Guard{Flags: maps.GuardClosed, ClosedFirst: 1, ClosedLast: 1023}, 0, loader.GuardXDPGeneric},
		{"rate", func(s *control.DataplaneState) { s.SourceRate = 100 },
			maps.Guard{Interval: 10 * time.Millisecond, Burst: 990 * time.Millisecond}, 0, loader.GuardTC},
		{"rate and burst", func(s *control.DataplaneState) { s.SourceRate, s.SourceBurst = 2, 5 },
			maps.Guard{Interval: 500 * time.Millisecond, Burst: 2 * time.Second}, 0, loader.GuardTC},
		{"nothing again", func(*control.DataplaneState) {}, maps.Guard{}, 0, loader.NoGuard},
	} {
		s := oneNetwork()
		tc.change(s)
		f.sync(s)
		if got := load(t, f.maps().Guards)[0]; got != tc.guard {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.guard)
		}
		if got := load(t, f.maps().Denied); len(got) != tc.denied {
			t.Errorf("%s: denied %v", tc.name, got)
		}
		for _, i := range f.attach {
			if want := map[bool]loader.Guard{true: tc.on}[i.Index == 2]; i.Guard != want {
				t.Errorf("%s: interface %d has guard %d, want %d", tc.name, i.Index, i.Guard, want)
			}
		}
	}
	f.sync(func() *control.DataplaneState { s := oneNetwork(); s.Denied = denied; return s }())
	before := fmt.Sprint(load(t, f.maps().Denied))
	// What is no longer denied is found in the map also by a daemon that did not write it.
	f.stop()
	f.start()
	f.sync(func() *control.DataplaneState { s := oneNetwork(); s.Denied = denied[1:]; return s }())
	if got := load(t, f.maps().Denied); len(got) != 1 {
		t.Errorf("after a restart: %v, before it: %s", got, before)
	}
}
