// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/maps"
)

func TestStaleFlowsGoAtOnce(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	f.masquerade(tcp, 40000, 20000, half{syn | ack | fin, 2, 0}, half{syn | ack | fin, 1, 0})
	s := oneNetwork()
	s.Endpoints[0].Incarnation = "another"
	f.sync(s)
	f.masquerade(tcp, 40001, 20001, half{syn | ack, 2, 0}, half{syn | ack, 1, 0})
	if n := f.collect(); n != 1 {
		t.Errorf("%d went, want 1", n)
	}
	if got := f.ports(); !slices.Equal(got, []uint16{40001}) {
		t.Errorf("left: %v", got)
	}
}

// A reply entry without its other half holds a NAT port for nothing.
func TestHalfSessionsGo(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	original, _ := f.masquerade(tcp, 40000, 20000, half{syn | ack, 2, 0}, half{syn | ack, 1, 0})
	f.masquerade(tcp, 40001, 20001, half{syn | ack, 2, 0}, half{syn | ack, 1, 0})
	if err := f.maps().Flows.Delete([]maps.FlowKey{original}); err != nil {
		t.Fatal(err)
	}
	if n := f.collect(); n != 0 {
		t.Errorf("%d went although it may be in the making", n)
	}
	f.clock += 5 * time.Second
	if n := f.collect(); n != 1 {
		t.Errorf("%d went, want 1", n)
	}
	if got := f.ports(); !slices.Equal(got, []uint16{40001}) {
		t.Errorf("left: %v", got)
	}
}

func TestPressure(t *testing.T) {
	f := newFixture(t) // 4096 entries, 3072 of which may be taken
	f.sync(oneNetwork())
	established := half{syn | ack, 5, 10 * time.Second}
	for i := range uint16(1000) {
		f.masquerade(tcp, 10000+i, 20000+i, established, established)
	}
	closed := half{syn | ack | fin, 5, 10 * time.Second}
	f.masquerade(tcp, 20000, 30000, closed, closed)
	if n := f.collect(); n != 0 {
		t.Errorf("%d went although there is room", n)
	}
	for i := range uint16(700) {
		idle := time.Duration(i%100) * time.Second
		f.masquerade(tcp, 30000+i, 40000+i, half{syn, 1, idle}, half{0, 0, idle})
	}
	before := len(load(t, f.maps().Flows))
	gone := f.collect()
	if left := len(load(t, f.maps().Flows)); left > 3072 || left < 3060 || before-left != 2*gone {
		t.Errorf("%d entries, %d sessions went, %d entries left", before, gone, left)
	}
	ports := f.ports()
	for i := range uint16(1000) {
		if !slices.Contains(ports, 10000+i) {
			t.Fatalf("a live session went: %d", 10000+i)
		}
	}
	if slices.Contains(ports, 20000) {
		t.Error("the closed session is still there")
	}
	if !slices.Contains(ports, 30000) || slices.Contains(ports, 30099) {
		t.Error("not the oldest of the half-open sessions went")
	}
}

// Either family's table may be full by itself: then what goes is of that family.
func TestPressureOfOneFamily(t *testing.T) {
	f := newFixture(t) // 4096 entries of each, 3072 of which may be taken
	f.sync(oneNetwork())
	waiting := half{syn, 1, 10 * time.Second}
	for i := range uint16(1400) {
		f.masquerade(tcp, 10000+i, 20000+i, waiting, half{})
	}
	six := func(port uint16) {
		veth := load(t, f.maps().Veths)[11]
		inside, outside, remote := addrPort("[fd00:1::2]:1"), addrPort("[2001:db8:2::2]:1"), addrPort("[2001:db8:2::3]:80")
		inside, outside = netip.AddrPortFrom(inside.Addr(), port), netip.AddrPortFrom(outside.Addr(), port)
		entry := maps.Flow{
			Src: outside, Dst: remote, Slot: veth.Slot, Generation: veth.Generation, Kind: maps.FlowMasquerade, Flags: maps.FlowNATSource,
			TCPFlags: syn, Seen: uint32((f.clock - 10*time.Second) / time.Second), Packets: 1,
		}
		f.put(maps.FlowKey{Src: inside, Dst: remote, Proto: tcp}, entry)
		entry.Src, entry.Dst, entry.Flags, entry.TCPFlags, entry.Packets = remote, inside, maps.FlowReply, 0, 0
		f.put(maps.FlowKey{Src: remote, Dst: outside, Proto: tcp}, entry)
	}
	for i := range uint16(100) {
		six(10000 + i)
	}
	flows := f.maps().Flows
	sizes := func() [2]int { return [2]int{len(load(t, flows.IPv4)), len(load(t, flows.IPv6))} }
	// More entries than one of them may have, but neither has.
	if n := f.collect(); n != 0 || sizes() != [2]int{2800, 200} {
		t.Errorf("%d went, left %v", n, sizes())
	}
	for i := range uint16(1900) {
		six(11000 + i)
	}
	if n := f.collect(); n != 464 || sizes() != [2]int{2800, 3072} {
		t.Errorf("%d went, want 464; left %v", n, sizes())
	}
}

// What woke up after it was judged stays.
func TestCollectChecksInTheKernel(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	original, reply := f.masquerade(udp, 40000, 20000, half{0, 1, time.Hour}, half{0, 1, time.Hour})
	flow, _, err := f.maps().Flows.Lookup(original)
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := f.maps().Flows.Lookup(reply)
	if err != nil {
		t.Fatal(err)
	}
	seen := answer.Seen
	answer.Seen++
	f.put(reply, answer)
	if gone, err := f.ld.Collect(original, reply, flow.Seen, seen); err != nil || gone {
		t.Errorf("a session that woke up: gone %v, %v", gone, err)
	}
	if gone, err := f.ld.Collect(original, reply, flow.Seen, seen+1); err != nil || !gone {
		t.Errorf("a session that sleeps: gone %v, %v", gone, err)
	}
	if n := len(load(t, f.maps().Flows)); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestFlush(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	for i := range uint16(10) {
		f.masquerade(udp, 40000+i, 20000+i, half{0, 1, 0}, half{0, 1, 0})
	}
	n, err := f.dp.Flush(t.Context(), func(fl control.Flow) bool { return fl.Original.Src.Port()%2 == 0 })
	if err != nil || n != 5 {
		t.Errorf("flushed %d, %v, want 5", n, err)
	}
	if got := f.ports(); !slices.Equal(got, []uint16{40001, 40003, 40005, 40007, 40009}) {
		t.Errorf("left: %v", got)
	}
}

// Collecting, listing and synchronising at the same time: the race detector watches, and nothing live may go.
func TestConcurrentUse(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	established := half{syn | ack, 5, 0}
	for i := range uint16(100) {
		f.masquerade(tcp, 10000+i, 20000+i, established, established)
	}
	done := make(chan error, 3)
	go func() {
		s := oneNetwork()
		for i := range 50 {
			s.Endpoints[1].Incarnation = fmt.Sprint(i)
			if err := f.dp.Sync(t.Context(), s); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 2 {
		go func() {
			for range 50 {
				if _, err := f.dp.Collect(t.Context()); err != nil {
					done <- err
					return
				}
				if err := f.dp.Flows(t.Context(), func(control.Flow) bool { return true }); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := len(f.ports()); n != 100 {
		t.Errorf("%d live sessions are left of 100", n)
	}
}

func TestDropsAreNamed(t *testing.T) {
	f := newFixture(t)
	if drops, err := f.dp.Drops(t.Context()); err != nil || len(drops) != 0 {
		t.Errorf("at first: %v, %v", drops, err)
	}
	names := f.maps().Names
	for v := uint32(0); v < 5; v++ {
		if name := names.Hook(v); strings.ContainsAny(name, "_0123456789") || name != strings.ToLower(name) {
			t.Errorf("hook %d is called %q", v, name)
		}
	}
	if name := names.Reason(3); name != "spoofed-ip" {
		t.Errorf("reason 3 is called %q", name)
	}
	if name := names.Reason(12345); name != "12345" {
		t.Errorf("a reason without a name is called %q", name)
	}
}

// The kinds that can be asked for are those that there are.
func TestFlowKindsAreNamed(t *testing.T) {
	names := newFixture(t).maps().Names
	var kinds []string
	for kind := maps.FlowPublished; kind <= maps.FlowHost; kind++ {
		kinds = append(kinds, names.FlowKind(kind))
	}
	if kinds = append(kinds, control.KindSpliced); !slices.Equal(kinds, api.FlowKinds()) {
		t.Errorf("there are %q", kinds)
	}
}
