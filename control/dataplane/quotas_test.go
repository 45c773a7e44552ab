// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

func TestSettings(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N15", behaviour.None)
	f := newFixture(t)
	const rest = maps.SettingPortsRest
	usual, restless := control.DefaultTimeouts(), control.DefaultTimeouts()
	restless.PortRest = 0
	for _, tc := range []struct {
		change func(*control.DataplaneState)
		want   maps.Settings
	}{
		{func(*control.DataplaneState) {}, maps.Settings{Flags: rest}},
		{func(s *control.DataplaneState) { s.MaxFlows, s.MaxFlowRate = 100, 7 }, maps.Settings{Flags: rest, MaxFlows: 100, MaxRate: 7}},
		{func(s *control.DataplaneState) { s.Networks[0].AnyRemote = true }, maps.Settings{Flags: rest | maps.SettingAnyRemote}},
		{func(s *control.DataplaneState) { s.BindTCP = true }, maps.Settings{Flags: rest | maps.SettingBindTCP}},
		{func(s *control.DataplaneState) { s.Timeouts = restless }, maps.Settings{}},
		{func(s *control.DataplaneState) { s.Timeouts, s.Networks[0].Timeouts = restless, &usual }, maps.Settings{Flags: rest}},
		{func(*control.DataplaneState) {}, maps.Settings{Flags: rest}},
	} {
		s := oneNetwork()
		tc.change(s)
		f.sync(s)
		if got := load(t, f.maps().Settings)[0]; got != tc.want {
			t.Errorf("settings %+v, want %+v", got, tc.want)
		}
		for what, flags := range map[string]maps.NetworkFlags{
			"network": load(t, f.maps().Networks)[1].Flags, "veth": load(t, f.maps().Veths)[11].Flags,
		} {
			if on := flags&maps.NetworkAnyRemote != 0; on != s.Networks[0].AnyRemote {
				t.Errorf("%s lets in any remote: %v", what, on)
			}
		}
	}
}

// use has a container use up a part of its quota.
func (f *fixture) use(index uint32, q maps.Quota) uint32 {
	f.t.Helper()
	slot := load(f.t, f.maps().Veths)[index].Slot
	if err := f.maps().Quotas.Update([]maps.Entry[uint32, maps.Quota]{{Key: slot, Value: q}}); err != nil {
		f.t.Fatal(err)
	}
	return slot
}

func TestQuotasGoWithTheirSlots(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N15", behaviour.None)
	f := newFixture(t)
	f.sync(oneNetwork())
	f.use(11, maps.Quota{Flows: 5, Refused: 3})
	other := f.use(12, maps.Quota{Flows: 6})
	f.stop()
	f.start()
	s := oneNetwork()
	f.sync(s)
	if n := len(load(t, f.maps().Quotas)); n != 2 {
		t.Fatalf("%d quotas after a start, want 2", n)
	}
	s.Endpoints[0].Incarnation = "another"
	f.sync(s)
	if q := load(t, f.maps().Quotas); len(q) != 1 || q[other].Flows != 6 {
		t.Errorf("quotas after a container has gone: %+v, want %d's", q, other)
	}
	s.Endpoints, s.Published = nil, nil
	f.sync(s)
	if q := load(t, f.maps().Quotas); len(q) != 0 {
		t.Errorf("quotas without containers: %+v", q)
	}

	// A program that was running put one there again: whoever gets the slot begins with nothing all the same.
	stray := make([]maps.Entry[uint32, maps.Quota], 64)
	for i := range stray {
		stray[i] = maps.Entry[uint32, maps.Quota]{Key: uint32(i + 1), Value: maps.Quota{Flows: 1}}
	}
	if err := f.maps().Quotas.Update(stray); err != nil {
		t.Fatal(err)
	}
	f.sync(oneNetwork())
	for index, veth := range load(t, f.maps().Veths) {
		if q, ok, err := f.maps().Quotas.Lookup(veth.Slot); ok || err != nil {
			t.Errorf("interface %d begins with %+v, %v", index, q, err)
		}
	}
}

// TestSlotsAreNotReusedSoon: flows of who had it before are given back to the slot's quota when they are collected.
func TestSlotsAreNotReusedSoon(t *testing.T) {
	f := newFixture(t)
	s := oneNetwork()
	seen := make(map[uint32]bool)
	for i := range 20 {
		s.Endpoints[0].Incarnation = string(rune('a' + i))
		f.sync(s)
		slot := load(t, f.maps().Veths)[11].Slot
		if seen[slot] {
			t.Fatalf("slot %d was given away again after %d others", slot, i)
		}
		seen[slot] = true
	}
}

// A container that has nearly used up what it may loses what is closed first.
func TestTightQuota(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N15", behaviour.None)
	f := newFixture(t)
	s := oneNetwork()
	s.MaxFlows = 8
	f.sync(s)
	const open = syn | ack
	begin := func(port uint16, flags uint8) {
		key, _ := f.masquerade(tcp, port, port, half{flags, 3, 10 * time.Second}, half{flags, 3, 10 * time.Second})
		flow, _, err := f.maps().Flows.Lookup(key)
		if err != nil {
			t.Fatal(err)
		}
		flow.Iif = 11
		f.put(key, flow)
	}
	for port := uint16(2000); port < 2006; port++ {
		begin(port, open|fin)
	}
	slot := f.use(11, maps.Quota{Flows: 6})
	if n := f.collect(); n != 0 {
		t.Errorf("%d closed sessions went of a container that may begin more", n)
	}
	begin(3000, open)
	f.use(11, maps.Quota{Flows: 7})
	if n := f.collect(); n != 6 {
		t.Errorf("%d sessions went, want the 6 closed ones", n)
	}
	if q := load(t, f.maps().Quotas)[slot]; q.Flows != 1 {
		t.Errorf("it has %d flows by its quota, want 1", q.Flows)
	}
}

// TestFlushGivesBack: what a flushed session counted against, it counts against no more.
func TestFlushGivesBack(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N15", behaviour.None)
	f := newFixture(t)
	f.sync(oneNetwork())
	key, _ := f.masquerade(tcp, 40000, 20000, half{syn, 1, 0}, half{})
	flow, _, err := f.maps().Flows.Lookup(key)
	if err != nil {
		t.Fatal(err)
	}
	flow.Iif = 11
	f.put(key, flow)
	slot := f.use(11, maps.Quota{Flows: 1})
	index := maps.PortIndex(tcp, 20000)
	if err := f.maps().PortFlows.Set(map[uint32]uint32{index: 1}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.dp.Flush(t.Context(), func(control.Flow) bool { return true }); n != 1 || err != nil {
		t.Fatalf("flushed %d, %v", n, err)
	}
	if q := load(t, f.maps().Quotas)[slot]; q.Flows != 0 {
		t.Errorf("the container has %d flows left", q.Flows)
	}
	if n, err := f.maps().PortFlows.Get(index); n != 0 || err != nil {
		t.Errorf("the port has %d sessions left, %v", n, err)
	}
}
