// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func TestAStopwatchNeedsAProgram(t *testing.T) {
	behaviour.NeedRoot(t)
	topo := topology(t)
	_, err := NewStopwatch(t.Context(), Config{
		Client: topo.Remote, Others: []*netlab.Namespace{topo.Host, topo.Remote}, Dial: netip.AddrPortFrom(topo.Host4, 5001),
	})
	if err == nil || !strings.Contains(err.Error(), "no program at tcx ingress") {
		t.Errorf("a device without programs: %v", err)
	}
}

// What is timed is what is claimed: a program that sends the packet on as another one is not.
func TestAStopwatchLooksAtThePacket(t *testing.T) {
	from, to := netip.MustParseAddrPort("192.0.2.3:4000"), netip.MustParseAddrPort("172.30.1.2:80")
	frame := netlab.IPFrame(make([]byte, 6), make([]byte, 6), netlab.UDPPacket(from, to, make([]byte, payload)))
	for name, tc := range map[string]struct {
		want Translation
		ok   bool
	}{
		"as wanted":        {Translation{From: from.Addr(), To: to}, true},
		"not translated":   {Translation{From: from.Addr(), To: netip.AddrPortFrom(to.Addr(), 8080)}, false},
		"another source":   {Translation{From: to.Addr(), To: to}, false},
		"nothing of a way": {Translation{}, false},
	} {
		if err := tc.want.check(frame); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// CPU time is read to the microsecond: steps of the scheduler's tick, 4 ms, are 20 ns a run when there are 200,000.
func TestThreadTimeHasNoSteps(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	seen := map[time.Duration]bool{}
	for began := time.Now(); time.Since(began) < 2*time.Millisecond; {
		seen[threadTime()] = true
	}
	if len(seen) < 10 {
		t.Errorf("in 2 ms there were %d different CPU times", len(seen))
	}
}
