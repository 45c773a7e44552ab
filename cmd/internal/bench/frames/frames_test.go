// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/machine"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

func topology(t *testing.T) *netlab.Topology {
	t.Helper()
	topo, err := netlab.New(netlab.Config{Name: "bench-frames"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := topo.Close(); err != nil {
			t.Error(err)
		}
		if err := netlab.CheckLeaks(); err != nil {
			t.Error(err)
		}
	})
	return topo
}

func newRig(t *testing.T, topo *netlab.Topology, server *netlab.Namespace, to netip.Addr, flows int) *Rig {
	t.Helper()
	rig, err := New(t.Context(), Config{
		Client: topo.Remote, Server: server, Others: []*netlab.Namespace{topo.Host, topo.Remote},
		Dial: netip.AddrPortFrom(to, 5001), Flows: flows,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
	return rig
}

func TestFramesArrive(t *testing.T) {
	behaviour.NeedRoot(t)
	topo := topology(t)
	for _, to := range []netip.Addr{topo.Host4, topo.Host6} {
		rig := newRig(t, topo, topo.Host, to, 16)
		got, err := rig.Run(t.Context(), 10*time.Millisecond, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		// On one CPU the receiver has its turn after each batch. A frame takes hundreds of nanoseconds: less would be somebody else's time.
		if each := got.Seconds / float64(got.Sent); got.Arrived < got.Sent*9/10 || got.Arrived > got.Sent || each < 50e-9 {
			t.Errorf("%s: %+v", to, got)
		}
		if err := rig.Close(); err != nil {
			t.Fatal(err)
		}
		if on, err := machine.GRO(topo.Host, "eth0"); err != nil || on {
			t.Errorf("GRO of the host's device was left %v, %v", on, err)
		}
	}
}

// The kernel uses pages again as the way left them. What each flow's frames say must be the same all the time: here the way
// is a router that sends everything back, with one hop less and other addresses in front.
func TestHeadsAreWrittenAnew(t *testing.T) {
	behaviour.NeedRoot(t)
	topo := topology(t)
	const flows, frames = 5, 1500
	elsewhere := netip.MustParseAddr("203.0.113.9")
	if err := errors.Join(
		topo.Host.SetSysctl("net.ipv4.ip_forward", "1"),
		topo.Remote.AddRoute(netlab.Route{Dst: netip.PrefixFrom(elsewhere, 32), Via: topo.Host4}),
	); err != nil {
		t.Fatal(err)
	}
	rig := newRig(t, topo, topo.Remote, elsewhere, flows)
	socket, err := netlab.OpenPacket(topo.Remote, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	arrived, err := rig.Send(t.Context(), frames)
	if err != nil {
		t.Fatal(err)
	}
	if arrived < frames/2 {
		t.Errorf("%d of %d frames came back", arrived, frames)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	back, err := socket.Collect(ctx, func(f netlab.Frame) bool {
		ip, ok := f.IP()
		return ok && !f.Outgoing && ip.Proto == netlab.ProtoUDP && ip.Dst.Addr() == elsewhere
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]int{}
	for _, f := range back {
		ip, _ := f.IP()
		if seen[ip.Src.Port()]++; ip.TTL != 63 {
			t.Fatalf("a frame was sent as it came back: TTL %d", ip.TTL)
		}
	}
	if len(seen) != flows {
		t.Errorf("frames of flows %v came back, want %d flows", seen, flows)
	}
}

func TestFlowsDiffer(t *testing.T) {
	w := way{src: make([]byte, 6), dst: make([]byte, 6), source: netip.MustParseAddr("192.0.2.3")}
	list := w.frames(netip.MustParseAddrPort("192.0.2.2:8080"), 2*perSource+1, false)
	var heads []string
	for _, f := range list {
		heads = append(heads, string(f[:headLength]))
	}
	slices.Sort(heads)
	if got := len(slices.Compact(heads)); got != len(list) {
		t.Errorf("%d different heads of %d flows", got, len(list))
	}
	last, ok := netlab.ParseIP(list[2*perSource][14:])
	if want := netip.MustParseAddrPort("192.0.2.5:1024"); !ok || last.Src != want {
		t.Errorf("the last flow is from %s, want %s", last.Src, want)
	}
	if first, _ := netlab.ParseIP(w.frames(last.Dst, 1, true)[0][14:]); first.Src != netip.MustParseAddrPort("192.0.2.4:1024") {
		t.Errorf("a stranger's flow is from %s", first.Src)
	}
}
