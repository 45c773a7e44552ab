// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// Ways are the next hops of flows, which the programs alone write. A place that has another next hop now has another
// generation, too.
type Ways struct{ table *Table[uint32, Way] }

// Way is a next hop, and between which MAC addresses packets go there.
type Way struct {
	Generation uint32     // 20 bits; 0: never used
	Routes     uint32     // generation of RouteSlot that it is good for
	Oif, MTU   uint32     // of the interface
	NextHop    netip.Addr // invalid: none
	DMAC, SMAC MAC
	Seen       uint32 // CLOCK_MONOTONIC seconds when both were on a packet to the next hop; 0: never
}

// wayGenerationBits is WAY_GENERATION_BITS of bpf/lib/layout.h, and wayPlaces WAYS.
const (
	wayGenerationBits = 20
	wayPlaces         = 4096
)

// WayOf takes Flow.Way apart.
func WayOf(way uint32) (index, generation uint32) {
	return way >> wayGenerationBits, way & (1<<wayGenerationBits - 1)
}

// Of returns the way that a flow has; false: it has none, or that place has another next hop now.
func (w *Ways) Of(way uint32) (Way, bool, error) {
	index, generation := WayOf(way)
	if generation == 0 {
		return Way{}, false, nil
	}
	v, ok, err := w.table.Lookup(index)
	return v, ok && v.Generation == generation, err
}

// Load returns the places that were ever used.
func (w *Ways) Load() (map[uint32]Way, error) {
	all := make(map[uint32]Way)
	err := w.each(func(index uint32, v Way) bool {
		all[index] = v
		return true
	})
	return all, err
}

func (w *Ways) each(yield func(uint32, Way) bool) error {
	return w.table.Each(func(index uint32, v Way) bool { return v.Generation == 0 || yield(index, v) })
}

func waysWire() wire[uint32, Way] {
	return codec[uint32, Way, uint32, bpf.VethwayWayValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Way) bpf.VethwayWayValue {
			return bpf.VethwayWayValue{
				Generation: v.Generation, Routes: v.Routes, Oif: v.Oif, Mtu: v.MTU, NextHop: toAddr(v.NextHop),
				Dmac: v.DMAC, Smac: v.SMAC, Seen: v.Seen,
			}
		},
		unvalue: func(v bpf.VethwayWayValue) Way {
			return Way{
				Generation: v.Generation, Routes: v.Routes, Oif: v.Oif, MTU: v.Mtu, NextHop: fromOptional(v.NextHop),
				DMAC: v.Dmac, SMAC: v.Smac, Seen: v.Seen,
			}
		},
	}
}

// waysDecoder leaves out places that were never used.
func waysDecoder(m *ebpf.Map, now uint32) decoder {
	row := wayRow(now)
	w := &Ways{&Table[uint32, Way]{m: m, name: bpf.VethwayMapWays, wire: waysWire()}}
	return decoder{
		each: func(yield func(Row) bool) error {
			return w.each(func(index uint32, v Way) bool { return yield(row(index, v)) })
		},
		get: func(key string) (Row, error) {
			index, err := parseNumber(key)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
			}
			v, _, err := w.table.Lookup(index)
			if err == nil && v.Generation == 0 {
				err = fmt.Errorf("%s %s: %w", w.table.name, key, ErrNoEntry)
			}
			return row(index, v), err
		},
	}
}

func wayRow(now uint32) func(uint32, Way) Row {
	return func(index uint32, v Way) Row {
		var age any
		if v.Seen != 0 {
			age = Age(now, v.Seen)
		}
		return Row{
			{"index", index},
			{"next_hop", optional(v.NextHop)},
			{"oif", v.Oif},
			{"mtu", v.MTU},
			{"dmac", v.DMAC},
			{"smac", v.SMAC},
			{"age_seconds", age},
			{"generation", v.Generation},
			{"routes", v.Routes},
		}
	}
}
