// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

const (
	fin, syn, rst, ack = maps.TCPFin, maps.TCPSyn, maps.TCPRst, maps.TCPAck
	tcp, udp, icmp     = 6, 17, 1
)

// half is what one side of a session did.
type half struct {
	flags   uint8
	packets uint64
	idle    time.Duration
}

// masquerade puts a session of c1's into the table: its port on its own side, and the NAT port.
func (f *fixture) masquerade(proto uint8, port, natPort uint16, ours, theirs half) (original, reply maps.FlowKey) {
	f.t.Helper()
	return f.masqueradeTo(addrPort("192.0.2.3:80"), proto, port, natPort, ours, theirs)
}

func (f *fixture) masqueradeTo(remote netip.AddrPort, proto uint8, port, natPort uint16, ours, theirs half) (original, reply maps.FlowKey) {
	f.t.Helper()
	veth := load(f.t, f.maps().Veths)[11]
	inside := netip.AddrPortFrom(addr("172.30.1.2"), port)
	outside := netip.AddrPortFrom(addr("192.0.2.2"), natPort)
	entry := func(h half, flags maps.FlowFlags, src, dst netip.AddrPort) maps.Flow {
		return maps.Flow{
			Src: src, Dst: dst, Slot: veth.Slot, Generation: veth.Generation, Kind: maps.FlowMasquerade, Flags: flags,
			TCPFlags: h.flags, Seen: uint32((f.clock - h.idle) / time.Second), Packets: h.packets, Bytes: h.packets * 100,
		}
	}
	original = maps.FlowKey{Src: inside, Dst: remote, Proto: proto}
	reply = maps.FlowKey{Src: remote, Dst: outside, Proto: proto}
	f.put(original, entry(ours, maps.FlowNATSource, outside, remote))
	f.put(reply, entry(theirs, maps.FlowReply, remote, inside))
	return original, reply
}

func (f *fixture) put(k maps.FlowKey, v maps.Flow) {
	f.t.Helper()
	if err := f.maps().Flows.Update([]maps.Entry[maps.FlowKey, maps.Flow]{{Key: k, Value: v}}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) collect() int {
	f.t.Helper()
	n, err := f.dp.Collect(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

func (f *fixture) flows() []control.Flow {
	f.t.Helper()
	var all []control.Flow
	err := f.dp.Flows(f.t.Context(), func(fl control.Flow) bool {
		all = append(all, fl)
		return true
	})
	if err != nil {
		f.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b control.Flow) int { return a.Original.Src.Compare(b.Original.Src) })
	return all
}

// ports lists the container's port of each session in the table, and complains about half ones.
func (f *fixture) ports() []uint16 {
	f.t.Helper()
	var ports []uint16
	for _, fl := range f.flows() {
		ports = append(ports, fl.Original.Src.Port())
	}
	if n := len(load(f.t, f.maps().Flows)); n != 2*len(ports) {
		f.t.Errorf("%d entries for %d sessions", n, len(ports))
	}
	return ports
}

func TestFlowsArePaired(t *testing.T) {
	f := newFixture(t)
	f.sync(oneNetwork())
	f.masquerade(tcp, 40000, 20000, half{syn | ack, 7, 3 * time.Second}, half{syn | ack, 5, 2 * time.Second})
	flows := f.flows()
	want := control.Flow{
		Proto: "tcp", Kind: "masquerade", State: "ESTABLISHED", Network: 1,
		Original: control.Tuple{Src: addrPort("172.30.1.2:40000"), Dst: addrPort("192.0.2.3:80")},
		Reply:    control.Tuple{Src: addrPort("192.0.2.3:80"), Dst: addrPort("192.0.2.2:20000")},
		Packets:  7, Bytes: 700, RPackets: 5, RBytes: 500, Idle: 3 * time.Second, Timeout: 7440 * time.Second,
	}
	if len(flows) != 1 || flows[0] != want {
		t.Errorf("flows: %+v\nwant: %+v", flows, want)
	}
	s := oneNetwork()
	s.Endpoints = s.Endpoints[1:]
	s.Published = nil
	f.sync(s)
	if flows := f.flows(); len(flows) != 1 || !flows[0].Stale {
		t.Errorf("flows of an endpoint that is gone: %+v", flows)
	}
}

func TestStatesAndTimeouts(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "N03", behaviour.None)
	f := newFixture(t)
	f.sync(oneNetwork())
	now := time.Duration(0)
	for _, tc := range []struct {
		name         string
		proto        uint8
		ours, theirs half
		state        string
		timeout      time.Duration
	}{
		{"syn", tcp, half{syn, 1, now}, half{0, 0, now}, "SYN_SENT", 240 * time.Second},
		{"syn-ack", tcp, half{syn, 1, now}, half{syn | ack, 1, now}, "SYN_RECV", 240 * time.Second},
		{"open", tcp, half{syn | ack, 2, now}, half{syn | ack, 1, now}, "ESTABLISHED", 7440 * time.Second},
		{"closing", tcp, half{syn | ack | fin, 2, now}, half{syn | ack, 1, now}, "FIN_WAIT", 7440 * time.Second},
		{"closing by the other", tcp, half{syn | ack, 2, now}, half{syn | ack | fin, 1, now}, "CLOSE_WAIT", 7440 * time.Second},
		{"closed", tcp, half{syn | ack | fin, 2, now}, half{syn | ack | fin, 1, now}, "TIME_WAIT", 240 * time.Second},
		{"reset", tcp, half{syn | ack, 2, now}, half{syn | ack | rst, 1, now}, "CLOSE", 240 * time.Second},
		{"udp one-way", udp, half{0, 9, now}, half{0, 0, now}, "UNREPLIED", 120 * time.Second},
		{"udp two-way", udp, half{0, 9, now}, half{0, 1, now}, "ASSURED", 300 * time.Second},
		{"icmp", icmp, half{0, 9, now}, half{0, 1, now}, "ASSURED", 60 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parent := f.t
			f.t = t
			t.Cleanup(func() { f.t = parent })
			f.masquerade(tc.proto, 40000, 20000, tc.ours, tc.theirs)
			flows := f.flows()
			if len(flows) != 1 || flows[0].State != tc.state || flows[0].Timeout != tc.timeout {
				t.Errorf("flows: %+v, want %s for %s", flows, tc.state, tc.timeout)
			}
			f.clock += tc.timeout - time.Second
			if n := f.collect(); n != 0 {
				t.Errorf("%d flows went a second before their time", n)
			}
			f.clock += time.Second
			if n := f.collect(); n != 1 {
				t.Errorf("%d flows went when the time was up, want 1", n)
			}
			if left := f.left(); left != 0 {
				t.Errorf("%d entries are left", left)
			}
		})
	}
}

// left counts the entries that are not merely resting ports.
func (f *fixture) left() int {
	n := 0
	for _, flow := range load(f.t, f.maps().Flows) {
		if flow.Flags&maps.FlowRetired == 0 {
			n++
		}
	}
	return n
}
