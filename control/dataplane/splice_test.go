// SPDX-License-Identifier: Apache-2.0

package dataplane_test

import (
	"context"
	"testing"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
	"github.com/vethway/vethway/test/behaviour"
)

// Addresses of a network that is spliced are noted with where their sockets are; the programs of its containers are others.
func TestSplicedAddresses(t *testing.T) {
	behaviour.NeedRoot(t)
	f := newFixture(t)
	s := oneNetwork()
	s.Networks[0].Splice, s.Networks[0].SplicePorts = true, []uint16{5432}
	s.Endpoints[0].NamespaceID, s.Endpoints[1].NamespaceID = 7, -1
	f.sync(s)
	slot := load(t, f.maps().Veths)[11].Slot
	ports := [maps.SplicedPorts]uint16{5432}
	common := maps.SplicedAddress{Namespace: maps.HostNamespace, Network: 1, Slot: maps.HostSlot, Ports: ports}
	c1 := maps.SplicedAddress{Namespace: 7, Index: 11, Network: 1, Slot: slot, Generation: load(t, f.maps().Veths)[11].Generation, Ports: ports}
	got := load(t, f.maps().Spliced)
	for a, want := range map[string]maps.SplicedAddress{
		"172.30.1.1": common, "fd00:1::1": common, "172.30.1.2": c1, "fd00:1::2": c1,
		"172.30.1.3": {}, // nobody knows its namespace
	} {
		if got[addr(a)] != want {
			t.Errorf("%s: %+v, want %+v", a, got[addr(a)], want)
		}
	}
	for _, i := range f.attach {
		if want := map[int]loader.Kind{10: loader.Bridge, 11: loader.Spliced, 12: loader.Veth, 2: loader.Ethernet}[i.Index]; i.Kind != want {
			t.Errorf("interface %d is attached as %d, want %d", i.Index, i.Kind, want)
		}
	}
	if !f.splice {
		t.Error("nobody was told to be ready")
	}
	f.sync(oneNetwork())
	f.sync(oneNetwork())
	if got := load(t, f.maps().Spliced); len(got) != 0 || f.splice {
		t.Errorf("of a network that is not spliced any more there is %v, and it goes on: %v", got, f.splice)
	}
}

func TestSplicedFlows(t *testing.T) {
	behaviour.NeedRoot(t)
	f := newFixture(t)
	f.sync(oneNetwork())
	client := maps.SpliceKey{Local: addrPort("172.30.1.3:40000"), Remote: addrPort("172.30.1.2:80")}
	refused := maps.SpliceKey{Local: addrPort("172.30.1.3:40001"), Remote: addrPort("172.30.1.2:80")}
	err := f.maps().Splices.Update([]maps.Entry[maps.SpliceKey, maps.Splice]{
		{Key: client, Value: maps.Splice{Network: 1, Messages: 3, Bytes: 300, Started: 1, Seen: 5}},
		{Key: client.Reverse(), Value: maps.Splice{Network: 1, Messages: 2, Bytes: 20, Started: 1, Seen: 4}},
		{Key: refused, Value: maps.Splice{Network: 1, Flags: maps.SpliceRefused}},
		{Key: refused.Reverse(), Value: maps.Splice{Network: 1, Flags: maps.SpliceRefused}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []control.Flow
	if err := f.dp.Flows(context.Background(), func(flow control.Flow) bool { got = append(got, flow); return true }); err != nil {
		t.Fatal(err)
	}
	want := control.Flow{
		Proto: "tcp", Kind: control.KindSpliced, State: "ESTABLISHED", Network: 1,
		Original: control.Tuple{Src: client.Local, Dst: client.Remote}, Reply: control.Tuple{Src: client.Remote, Dst: client.Local},
		Packets: 2, Bytes: 20, RPackets: 3, RBytes: 300, Idle: 5 * time.Second,
	}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want one flow %+v", got, want)
	}
}
