// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
)

// logged is a log to look into.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// runningLogged is running with a log.
func runningLogged(t *testing.T, test func(*world, *logged)) {
	var log logged
	running(t, func(w *world) { test(w, &log) }, func(c *control.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
}

func refusedTo(w *world, container string, age time.Duration, refused uint64) control.Event {
	w.Helper()
	c, err := w.engine.Container(context.Background(), container)
	if err != nil {
		w.Fatal(err)
	}
	return control.Event{
		Age: age, Reason: "no-port", Proto: "tcp", Refused: refused,
		Src: netip.AddrPortFrom(c.NetworkSettings.Networks["web"].IPAddress, 40000), Dst: netip.MustParseAddrPort("192.0.2.3:80"),
	}
}

func events(w *world, f api.EventFilter) []api.Event {
	w.Helper()
	list, err := w.engine.Events(context.Background(), f)
	if err != nil {
		w.Fatal(err)
	}
	return list
}

// TestEvents: each is said in the log, listed, and followed by a collection of flows, but not by one after the other.
func TestEvents(t *testing.T) {
	behaviour.Covers(t, "N14", behaviour.None)
	runningLogged(t, func(w *world, log *logged) {
		w.network("web")
		w.mustAttach("c1", "web")
		w.mustAttach("c2", "web")
		time.Sleep(11 * time.Second)
		before := w.plane.Collected()
		w.plane.Report(refusedTo(w, "c1", 3*time.Second, 17))
		w.plane.Report(refusedTo(w, "c2", 0, 1))
		synctest.Wait()
		now := time.Now()
		if n := w.plane.Collected() - before; n != 1 {
			t.Errorf("flows collected %d times at once, want once", n)
		}
		list := events(w, api.EventFilter{})
		if len(list) != 2 {
			t.Fatalf("events: %+v", list)
		}
		want := api.Event{
			Time: now.Add(-3 * time.Second), Container: "c1", Network: "web", Reason: "no-port", Protocol: "tcp",
			Source: list[0].Source, Destination: netip.MustParseAddrPort("192.0.2.3:80"), Refused: 17,
		}
		if list[0] != want {
			t.Errorf("event %+v, want %+v", list[0], want)
		}
		if line := "container was refused a flow"; !strings.Contains(log.String(), line) ||
			!strings.Contains(log.String(), "container=c1 network=web reason=no-port protocol=tcp") {
			t.Errorf("the log says %s", log.String())
		}
		if list := events(w, api.EventFilter{Since: now.Add(-time.Second)}); len(list) != 1 || list[0].Container != "c2" {
			t.Errorf("since a second ago: %+v", list)
		}
		if list := events(w, api.EventFilter{Container: "c1"}); len(list) != 1 || list[0].Container != "c1" {
			t.Errorf("of c1: %+v", list)
		}
		if _, err := w.engine.Events(context.Background(), api.EventFilter{Container: "c3"}); !errors.Is(err, control.ErrNotFound) {
			t.Errorf("of a container that is not there: %v", err)
		}

		// Many a second make no more than one collection a second.
		before = w.plane.Collected()
		for i := range 3000 {
			w.plane.Report(refusedTo(w, "c1", 0, uint64(i)))
			time.Sleep(time.Millisecond)
		}
		if n := w.plane.Collected() - before; n > 4 {
			t.Errorf("flows collected %d times in 3 seconds", n)
		}
		if list := events(w, api.EventFilter{}); len(list) != 1000 || list[999].Refused != 2999 {
			t.Errorf("%d events are remembered, the last is %+v", len(list), list[len(list)-1])
		}
	})
}

// TestEventsThatCannotBeRead are tried again, and the log does not fill with it.
func TestEventsThatCannotBeRead(t *testing.T) {
	runningLogged(t, func(w *world, log *logged) {
		w.network("web")
		w.mustAttach("c1", "web")
		w.fail("Events")
		w.plane.Report(refusedTo(w, "c1", 0, 1))
		time.Sleep(5*time.Minute + time.Second)
		if n := strings.Count(log.String(), "events of the packet programs are not read"); n < 3 || n > 6 {
			t.Errorf("said %d times in 5 minutes", n)
		}
		w.faults.Set(nil)
		time.Sleep(2 * time.Minute)
		w.plane.Report(refusedTo(w, "c1", 0, 2))
		synctest.Wait()
		if list := events(w, api.EventFilter{}); len(list) != 2 {
			t.Errorf("events: %+v", list)
		}
	})
}

func TestFlowStats(t *testing.T) {
	behaviour.Covers(t, "N15", behaviour.None)
	w := newWorld(t)
	w.network("web")
	w.network("db")
	w.mustAttach("c2", "web")
	w.mustAttach("c1", "web", "db")
	at := func(container, network string) []netip.Addr {
		c, err := w.engine.Container(context.Background(), container)
		if err != nil {
			t.Fatal(err)
		}
		return []netip.Addr{c.NetworkSettings.Networks[network].IPAddress}
	}
	w.plane.SetFlowStats(control.FlowStats{
		Flows4: control.TableUse{Entries: 300, Capacity: 1000}, Flows6: control.TableUse{Entries: 100, Capacity: 1000},
		Endpoints: []control.EndpointUse{
			{Addrs: at("c2", "web"), Network: 1, Flows: 5, Limit: 10, Refused: 3},
			{Addrs: at("c1", "web"), Network: 1, Flows: 1, Limit: 10},
			{Addrs: at("c1", "db"), Network: 2, Flows: 2},
		},
		Pools: []control.PoolUse{{Addr: netip.MustParseAddr("192.0.2.2"), Proto: "udp", Ports: 64, Size: 256}},
		Tries: []control.PortTries{{Tries: "3-4", Sessions: 7}},
	})
	got, err := w.engine.FlowStats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := api.FlowStats{
		Flows:  api.TableUse{Entries: 400, Capacity: 2000, Percent: 20},
		Flows4: api.TableUse{Entries: 300, Capacity: 1000, Percent: 30}, Flows6: api.TableUse{Entries: 100, Capacity: 1000, Percent: 10},
		Containers: []api.ContainerFlows{
			{Container: "c1", Network: "db", Flows: 2}, {Container: "c1", Network: "web", Flows: 1, Limit: 10},
			{Container: "c2", Network: "web", Flows: 5, Limit: 10, Refused: 3},
		},
		Addresses: []api.AddressPorts{{Address: netip.MustParseAddr("192.0.2.2"), Protocol: "udp", Ports: 64, Size: 256, Percent: 25}},
		Tries:     []api.PortTries{{Tries: "3-4", Sessions: 7}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	w.fail("FlowStats")
	if _, err := w.engine.FlowStats(context.Background()); !errors.Is(err, errBroken) {
		t.Errorf("when nothing can be counted: %v", err)
	}
}
