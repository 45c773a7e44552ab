// SPDX-License-Identifier: Apache-2.0

package host

import (
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/netlab"
)

// everyDirection opens a stream of each kind in each direction, over both families.
func (l lab) everyDirection() *held {
	l.Helper()
	streams := l.bypassing()
	for _, a := range []family{ipv4(), ipv6()} {
		for _, network := range protocols() {
			streams.add(l.at("H"), network, port(a.loopback, publishedPort), netip.AddrPort{})
			streams.add(l.at("H"), network, port(a.c2, otherPort), netip.AddrPort{})
			streams.add(l.at("c1"), network, port(a.gateway1, remotePort), netip.AddrPort{})
		}
	}
	return streams
}

// The daemon is killed under traffic, stays away for a while, and comes back: nobody notices.
func TestKilledUnderTraffic(t *testing.T) {
	modes(t, func(l lab) {
		// While something is attached by clsact the filters are what must stay; they go by the names of their programs.
		old := l.everyDirection()
		pins, flows := l.pins(), l.flowsByTuple()
		links := l.hostLinks()
		l.must(l.vw.Kill())
		if got := l.pins(); !maps.Equal(got, pins) {
			l.Errorf("pins have changed by the daemon's end: %v, they were %v", got, pins)
		}
		l.families("R01", func(l lab, a family) {
			l.holds(a)
			l.bindEnds(port(a.any.Addr(), publishedPort), netlab.InUse)
		})
		meanwhile := l.everyDirection()
		l.must(l.vw.Restart(l.Context()))
		time.Sleep(200 * time.Millisecond) // the first reconcile, and what it might break
		if got := l.pins(); !maps.Equal(got, pins) {
			l.Errorf("pins have changed by the next start: %v, they were %v", got, pins)
		}
		if got := l.hostLinks(); !maps.Equal(got, links) {
			l.Errorf("interfaces have changed: %v, they were %v", got, links)
		}
		now := l.flowsByTuple()
		for tuple, before := range flows {
			after, ok := now[tuple]
			if !ok || after.Stale {
				l.Errorf("the flow %v is gone: %+v", tuple, after)
			} else if after.Packets < before.Packets {
				l.Errorf("the flow %v has been begun afresh: %d packets, it had %d", tuple, after.Packets, before.Packets)
			}
		}
		for _, a := range []family{ipv4(), ipv6()} {
			l.holds(a)
		}
		old.unharmed()
		meanwhile.unharmed()
		status, err := l.api.Status(l.Context())
		l.must(err)
		if len(status.Degraded) > 0 {
			l.Errorf("degraded: %+v", status.Degraded)
		}
	})
}

// Killed again and again, at any moment of its start.
func TestKilledWhileStarting(t *testing.T) {
	modes(t, func(l lab) {
		l.families("R01", func(l lab, a family) {
			streams := l.everyDirection()
			for _, after := range []time.Duration{0, 10, 20, 40, 80, 160} {
				l.must(l.vw.Kill())
				l.must(l.vw.Launch(l.Context()))
				time.Sleep(after * time.Millisecond)
			}
			l.must(l.vw.Kill())
			l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
			l.must(l.vw.Restart(l.Context()))
			l.seesItself(l.at("R"), port(a.host, publishedPort), "c1")
			streams.unharmed()
		})
	})
}

// pins are the inodes of what is pinned: a pin that was replaced has another one.
func (l lab) pins() map[string]uint64 {
	l.Helper()
	pins := map[string]uint64{}
	l.must(filepath.WalkDir(l.vw.Pins(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			pins[path] = info.Sys().(*syscall.Stat_t).Ino
		}
		return err
	}))
	return pins
}

// hostLinks are the ifindexes of the host's interfaces.
func (l lab) hostLinks() map[string]uint64 {
	l.Helper()
	list, err := l.topo.Host.Links()
	l.must(err)
	links := map[string]uint64{}
	for _, link := range list {
		links[link.Name] = uint64(link.Index)
	}
	return links
}

func (l lab) flowsByTuple() map[api.Tuple]api.Flow {
	l.Helper()
	list, err := l.api.Flows(l.Context(), api.FlowFilter{})
	l.must(err)
	flows := map[api.Tuple]api.Flow{}
	for _, f := range list {
		flows[f.Original] = f
	}
	return flows
}
