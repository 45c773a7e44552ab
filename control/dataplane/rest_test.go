// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// retired is the entry that a session has left, if there is one and nothing else. The kernel has stamped it by its own clock;
// from here on the test's counts, which is set back: the kernel must not take the entry for one that was made this second.
func (f *fixture) retired(what string) {
	f.t.Helper()
	all := load(f.t, f.maps().Flows)
	if len(all) != 1 {
		f.t.Fatalf("%s: %d entries are left, want the one that holds the port", what, len(all))
	}
	for key, flow := range all {
		if flow.Flags&(maps.FlowReply|maps.FlowRetired) != maps.FlowReply|maps.FlowRetired {
			f.t.Errorf("%s: left is %v, %v", what, key, flow.Flags.Names())
		}
		f.clock = 20 * time.Second
		flow.Seen = uint32(f.clock / time.Second)
		f.put(key, flow)
	}
}

// TestTCPPortsRest: when a TCP session that nobody saw being closed is over, its port rests.
func TestTCPPortsRest(t *testing.T) {
	const open = syn | ack
	bothFamilies(t, "N16", func(t *testing.T, f *fixture, fam family) {
		for what, tc := range map[string]struct {
			who           begun
			first, answer uint8
			timeout       time.Duration
			rests         bool
		}{
			"established":    {outbound, open, open, 7440 * time.Second, true},
			"never answered": {outbound, syn, 0, 240 * time.Second, true},
			"half closed":    {outbound, open | fin, open, 7440 * time.Second, true},
			"by the stack":   {byStack, open, open, 7440 * time.Second, true},
			"closed":         {outbound, open | fin, open | fin, 240 * time.Second, false},
			"reset":          {outbound, open | rst, open | rst, 240 * time.Second, false},
			"to a published": {publishing, open, open, 7440 * time.Second, false},
			"not translated": {routing, open, open, 7440 * time.Second, false},
			"hairpin":        {hairpin, open, open, 7440 * time.Second, false},
		} {
			f.clock = 10 * time.Second
			f.sync(oneNetwork())
			f.put2(fam, tc.who, tcp, half{tc.first, 9, 0}, half{tc.answer, 9, 0})
			if !tc.rests {
				f.lives(what, tc.timeout)
				continue
			}
			f.clock += tc.timeout - time.Second
			if n := f.collect(); n != 0 {
				t.Errorf("%s: gone before its time", what)
			}
			f.clock += time.Second
			if n := f.collect(); n != 1 {
				t.Errorf("%s: %d sessions went, want 1", what, n)
			}
			f.retired(what)
			f.clock += 119 * time.Second
			f.collect()
			if n := len(load(t, f.maps().Flows)); n != 1 {
				t.Errorf("%s: the port did not rest: %d entries", what, n)
			}
			if n := len(f.flows()); n != 0 {
				t.Errorf("%s: %d sessions are listed", what, n)
			}
			if s, err := f.dp.FlowStats(t.Context()); err != nil || len(s.Pools) != 1 || s.Pools[0].Ports != 1 {
				t.Errorf("%s: ports in use %+v, %v, want the one that rests", what, s.Pools, err)
			}
			f.clock += time.Second
			if n := f.collect(); n != 0 {
				t.Errorf("%s: a port that has rested counts as %d sessions", what, n)
			}
			if n := len(load(t, f.maps().Flows)); n != 0 {
				t.Errorf("%s: %d entries are left", what, n)
			}
		}
	})
}

// TestRestedPortIsReleased also when its container has begun another session in the meantime, by another port.
func TestRestedPortIsReleased(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N16", behaviour.None)
	f := newFixture(t)
	f.sync(oneNetwork())
	f.masquerade(tcp, 40000, 20000, half{syn, 1, 300 * time.Second}, half{})
	f.clock += 300 * time.Second
	f.collect()
	f.retired("before")
	f.masquerade(tcp, 40000, 20001, half{syn | ack, 1, 0}, half{syn | ack, 1, 0})
	f.clock += 121 * time.Second
	f.collect()
	if got := f.ports(); len(got) != 1 || got[0] != 40000 {
		t.Errorf("left: %v, want the other session alone", got)
	}
}

// Where room is needed, ports do not rest.
func TestPressureEndsRest(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N07", behaviour.None)
	f := newFixture(t) // 4096 entries, 3072 of which may be taken
	f.sync(oneNetwork())
	f.masquerade(tcp, 40000, 20000, half{syn, 1, 300 * time.Second}, half{})
	f.clock += 300 * time.Second
	f.collect()
	f.retired("before")
	established := half{syn | ack, 5, 0}
	for i := range uint16(1536) {
		f.masquerade(tcp, 10000+i, 20001+i, established, established)
	}
	f.clock += 2 * time.Second
	f.collect()
	if n := len(f.ports()); n != 1536 {
		t.Errorf("%d live sessions are left of 1536", n)
	}
}

// TestPortsOfTheGoneRest: a session that nobody saw being closed ends with its container, and its port rests as if it had
// ended by time.
func TestPortsOfTheGoneRest(t *testing.T) {
	bothFamilies(t, "N16", func(t *testing.T, f *fixture, fam family) {
		f.sync(oneNetwork())
		f.put2(fam, outbound, tcp, half{syn | ack, 9, 0}, half{syn | ack, 9, 0})
		s := oneNetwork()
		s.Endpoints[0].Incarnation = "another"
		f.sync(s)
		if n := f.collect(); n != 1 {
			t.Errorf("%d sessions went, want 1", n)
		}
		f.retired("gone")
		f.clock += 119 * time.Second
		f.collect()
		if n := len(load(t, f.maps().Flows)); n != 1 {
			t.Errorf("the port did not rest: %d entries", n)
		}
		f.clock += time.Second
		f.collect()
		if n := len(load(t, f.maps().Flows)); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// TestTimeoutsOfTwoNetworks: an entry does not say which one it is of, and its container may be gone.
func TestTimeoutsOfTwoNetworks(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N16", behaviour.None)
	f := newFixture(t)
	s := oneNetwork()
	s.Timeouts = control.DefaultTimeouts()
	own, other := s.Timeouts, s.Timeouts
	own.UDP, own.PortRest, other.UDP, other.PortRest = 200*time.Second, 300*time.Second, 400*time.Second, time.Second
	s.Networks[0].Timeouts = &own
	s.Networks = append(s.Networks, control.DataplaneNetwork{
		ID: 2, BridgeIndex: 20, BridgeMAC: mac(9), MTU: 1500, Subnets: []netip.Prefix{prefix("172.30.0.0/16"), prefix("fd00::/16")}, Timeouts: &other,
	})
	f.sync(s)
	for _, fam := range families() {
		for _, who := range []begun{outbound, byStack, inbound, publishing, routing} {
			f.put2(fam, who, udp, half{packets: 1}, half{})
			if got := f.flows(); len(got) != 1 || got[0].Network != 1 || got[0].Timeout != own.UDP {
				t.Errorf("begun %d: listed as %+v", who, got)
			}
			f.lives(fmt.Sprintf("%s, begun %d", fam.name, who), own.UDP)
		}
	}
	fam := families()[0]
	f.put2(fam, outbound, tcp, half{syn | ack, 9, 0}, half{syn | ack, 9, 0})
	s.Endpoints, s.Published = nil, nil
	f.sync(s)
	f.collect()
	f.retired("its container is gone")
	f.clock += 299 * time.Second
	f.collect()
	if n := len(load(t, f.maps().Flows)); n != 1 {
		t.Errorf("the port did not rest as long as its network says: %d entries", n)
	}
	f.clock += time.Second
	f.collect()
	if n := len(load(t, f.maps().Flows)); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}
