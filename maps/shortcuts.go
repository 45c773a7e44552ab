// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// Shortcuts says of single addresses what most packets need to know, at a place that the address itself tells. Two
// addresses may have the same place: the one that is not there goes the long way.
type Shortcuts struct{ table *Table[uint32, Shortcut] }

// Shortcut is an address of the host's own, or of a container.
type Shortcut struct {
	Addr             netip.Addr
	Index            uint32 // ifindex of the container's host end; 0: the host's own
	Bridge           uint32 // ifindex of the container's bridge
	Slot, Generation uint32
	Network          uint16 // of the container, or whose gateway the host's address is; 0: no gateway
	MAC, BridgeMAC   MAC
	MTU              uint16
	Flags            NetworkFlags
}

// The SHORTCUT_* constants of bpf/lib/layout.h.
const (
	shortcutBits     = 15
	shortcutHost     = 1
	shortcutEndpoint = 2
	shortcutGateway  = 3
)

// ShortcutIndex is where an address has its place.
func ShortcutIndex(a netip.Addr) uint32 {
	b := toAddr(a).B
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return ((word(0)^word(1))*2246822519 ^ word(2) ^ word(3)) * 2654435769 >> (32 - shortcutBits)
}

// Put writes entries. A program that reads one meanwhile finds the old one, none, or the new one: the address comes
// last, when all that it stands for is there.
func (s *Shortcuts) Put(entries map[uint32]Shortcut) error {
	steps := [3][]Entry[uint32, Shortcut]{}
	for index, v := range entries {
		unnamed := v
		unnamed.Addr = netip.Addr{}
		for i, step := range []Shortcut{{}, unnamed, v} {
			steps[i] = append(steps[i], Entry[uint32, Shortcut]{Key: index, Value: step})
		}
	}
	for _, step := range steps {
		if err := s.table.Update(step); err != nil {
			return err
		}
	}
	return nil
}

// Clear empties places.
func (s *Shortcuts) Clear(indexes []uint32) error {
	empty := make([]Entry[uint32, Shortcut], len(indexes))
	for i, index := range indexes {
		empty[i].Key = index
	}
	return s.table.Update(empty)
}

// Load returns the places that are taken.
func (s *Shortcuts) Load() (map[uint32]Shortcut, error) {
	all := make(map[uint32]Shortcut)
	err := s.each(func(index uint32, v Shortcut) bool {
		all[index] = v
		return true
	})
	return all, err
}

func (s *Shortcuts) each(yield func(uint32, Shortcut) bool) error {
	return s.table.Each(func(index uint32, v Shortcut) bool { return v == Shortcut{} || yield(index, v) })
}

func shortcutsWire() wire[uint32, Shortcut] {
	return codec[uint32, Shortcut, uint32, bpf.VethwayShortcutValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Shortcut) bpf.VethwayShortcutValue {
			w := bpf.VethwayShortcutValue{
				Addr: toAddr(v.Addr), Ifindex: v.Index, Slot: v.Slot, Generation: v.Generation, Network: v.Network, Mac: v.MAC,
				Flags: uint32(v.Flags), Bridge: v.Bridge, BridgeMac: v.BridgeMAC, Mtu: v.MTU,
			}
			switch {
			case v.Index != 0:
				w.Kind = shortcutEndpoint
			case v.Network != 0:
				w.Kind = shortcutGateway
			case v.Addr.IsValid():
				w.Kind = shortcutHost
			}
			return w
		},
		unvalue: func(w bpf.VethwayShortcutValue) Shortcut {
			return Shortcut{
				Addr: fromOptional(w.Addr), Index: w.Ifindex, Slot: w.Slot, Generation: w.Generation, Network: w.Network, MAC: w.Mac,
				Flags: NetworkFlags(w.Flags), Bridge: w.Bridge, BridgeMAC: w.BridgeMac, MTU: w.Mtu,
			}
		},
	}
}

// shortcutsDecoder finds an entry by its address.
func shortcutsDecoder(m *ebpf.Map, n Names) decoder {
	s := &Shortcuts{&Table[uint32, Shortcut]{m: m, name: bpf.VethwayMapShortcuts, wire: shortcutsWire()}}
	return decoder{
		each: func(yield func(Row) bool) error {
			return s.each(func(_ uint32, v Shortcut) bool { return yield(shortcutRow(v)) })
		},
		get: func(key string) (Row, error) {
			addr, err := netip.ParseAddr(key)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
			}
			v, _, err := s.table.Lookup(ShortcutIndex(addr))
			if err == nil && v.Addr != addr {
				err = fmt.Errorf("%s %s: %w", s.table.name, key, ErrNoEntry)
			}
			return shortcutRow(v), err
		},
	}
}

func shortcutRow(v Shortcut) Row {
	return Row{
		{"addr", v.Addr},
		{"ifindex", v.Index},
		{"network", v.Network},
		{"mac", v.MAC},
		{"bridge_mac", v.BridgeMAC},
		{"mtu", v.MTU},
		{"slot", v.Slot},
		{"generation", v.Generation},
		{"flags", v.Flags.Names()},
		{"bridge", v.Bridge},
	}
}

func hairpinRow(index, value uint32) Row {
	return Row{
		{"network", index},
		{"met", value != 0},
	}
}
