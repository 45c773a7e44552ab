// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

func TestFlowStats(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N15", behaviour.None)
	f := newFixture(t)
	s := oneNetwork()
	s.MaxFlows = 100
	s.HostPorts = []control.HostPort{{Proto: 6, Port: 9000}}
	f.sync(s)
	f.use(11, maps.Quota{Flows: 5, Refused: 3})
	// Two sessions by one port, one by another, and one that came in.
	f.masquerade(tcp, 40000, 20000, half{syn, 1, 0}, half{})
	f.masquerade(tcp, 40001, 20001, half{syn, 1, 0}, half{})
	f.put2(families()[0], publishing, tcp, half{syn, 1, 0}, half{})
	f.put2(families()[1], publishing, tcp, half{syn, 1, 0}, half{})
	f.bind(5000, 5000)
	first, last := f.ld.Pool()
	size := int(last) - int(first) + 1
	got, err := f.dp.FlowStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := control.FlowStats{
		Flows4: control.TableUse{Entries: 6, Capacity: 4096}, Flows6: control.TableUse{Entries: 2, Capacity: 4096}, Bindings: control.TableUse{Entries: 2, Capacity: f.maps().Bindings.Capacity()},
		Pools: []control.PoolUse{
			{Addr: addr("192.0.2.2"), Proto: "tcp", Ports: 2, Size: size - 2}, // less 8080 and 9000
			{Addr: addr("192.0.2.2"), Proto: "udp", Ports: 1, Size: size},
		},
	}
	slices.SortFunc(got.Endpoints, func(a, b control.EndpointUse) int { return a.Addrs[0].Compare(b.Addrs[0]) })
	want.Endpoints = []control.EndpointUse{
		{Addrs: s.Endpoints[0].Addrs, Network: 1, Flows: 5, Limit: 100, Refused: 3},
		{Addrs: s.Endpoints[1].Addrs, Network: 1, Limit: 100},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.dp.FlowStats(ended); err == nil {
		t.Error("no error when nobody waits any more")
	}
}

// TestEventsEnd: reading sleeps until its context ends, and can be begun again on the same ring.
func TestEventsEnd(t *testing.T) {
	behaviour.NeedRoot(t)
	f := newFixture(t)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := f.dp.Events(ctx, func(e control.Event) { t.Errorf("event %+v", e) })
		cancel()
		if err != nil {
			t.Error(err)
		}
	}
}
