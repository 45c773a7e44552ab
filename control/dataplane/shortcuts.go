// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	stdmaps "maps"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/maps"
)

// shortcuts is what the map of that name holds, as far as known.
type shortcuts struct {
	table *maps.Shortcuts
	have  map[uint32]maps.Shortcut
	known bool
}

func (s *shortcuts) load() error {
	if s.known {
		return nil
	}
	have, err := s.table.Load()
	if err != nil {
		return err
	}
	s.have, s.known = have, true
	return nil
}

// planShortcuts gives each container's address, and each of the host's, its place; of two that have the same the
// container's, or else the lower one.
func (p *plan) planShortcuts() {
	p.shortcuts = make(map[uint32]maps.Shortcut, len(p.endpoints)+len(p.addresses))
	place := func(v maps.Shortcut) {
		index := maps.ShortcutIndex(v.Addr)
		if _, taken := p.shortcuts[index]; !taken {
			p.shortcuts[index] = v
		}
	}
	for _, a := range slices.SortedFunc(stdmaps.Keys(p.endpoints), netip.Addr.Compare) {
		e := p.endpoints[a]
		n := p.networks[uint32(e.Network)]
		place(maps.Shortcut{
			Addr: a, Index: e.Index, Slot: e.Slot, Generation: e.Generation, Network: e.Network, MAC: e.MAC,
			Flags: n.Flags, Bridge: n.Bridge, BridgeMAC: e.BridgeMAC, MTU: e.MTU,
		})
	}
	for _, prefix := range slices.SortedFunc(stdmaps.Keys(p.addresses), mostSpecificFirst) {
		if v := p.addresses[prefix]; v.Kind == maps.AddressLocal && prefix.IsSingleIP() {
			place(maps.Shortcut{Addr: prefix.Addr(), Network: uint16(v.Network)})
		}
	}
}

// add writes what is new or different.
func (s *shortcuts) add(want map[uint32]maps.Shortcut) error {
	changed := make(map[uint32]maps.Shortcut)
	for index, v := range want {
		if s.have[index] != v {
			changed[index] = v
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := s.table.Put(changed); err != nil {
		s.known = false
		return err
	}
	stdmaps.Copy(s.have, changed)
	return nil
}

// remove clears the places of what is not wanted.
func (s *shortcuts) remove(want map[uint32]maps.Shortcut) error {
	var gone []uint32
	for index := range s.have {
		if _, ok := want[index]; !ok {
			gone = append(gone, index)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := s.table.Clear(gone); err != nil {
		s.known = false
		return err
	}
	for _, index := range gone {
		delete(s.have, index)
	}
	return nil
}
