// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// Set is a handle on each map of an instance.
type Set struct {
	Flows        *Flows
	Ways         *Ways
	Bindings     *Bindings
	Published    *Published
	Endpoints    *Endpoints
	Shortcuts    *Shortcuts
	Veths        *Veths
	Networks     *Networks
	Addresses    *Addresses
	Uplinks      *Uplinks
	PortUse      *PortUse
	Generations  *Generations
	PortFlows    *PortFlows
	Quotas       *Quotas
	Settings     *SettingsTable
	Fragments    *Fragments
	Origins      *Origins
	Guards       *Guards
	Denied       *Denied
	Sources      *Sources
	Spliced      *Spliced
	Splices      *Splices
	Counters     *Counters
	Tries        *Tries
	Events       *Events
	Incarnations *Incarnations
	Names        Names

	all map[string]*ebpf.Map
}

// NewSet makes handles of open maps, which belong to the Set from then on, by their names in the object.
func NewSet(all map[string]*ebpf.Map, names Names) (*Set, error) {
	for _, d := range descriptors() {
		if d.needed && all[d.name] == nil {
			return nil, fmt.Errorf("map %s is missing", d.name)
		}
	}
	return &Set{
		Flows:        flows(all),
		Ways:         &Ways{table(all, bpf.VethwayMapWays, waysWire())},
		Bindings:     table(all, bpf.VethwayMapBindings, bindingsWire()),
		Published:    table(all, bpf.VethwayMapPublished, publishedWire()),
		Endpoints:    table(all, bpf.VethwayMapEndpoints, endpointsWire()),
		Shortcuts:    &Shortcuts{table(all, bpf.VethwayMapShortcuts, shortcutsWire())},
		Veths:        table(all, bpf.VethwayMapVeths, vethsWire()),
		Networks:     table(all, bpf.VethwayMapNetworks, networksWire()),
		Addresses:    table(all, bpf.VethwayMapAddresses, addressesWire()),
		Uplinks:      table(all, bpf.VethwayMapUplinks, uplinksWire()),
		PortUse:      &PortUse{array(all, bpf.VethwayMapPortUse)},
		Generations:  &Generations{array(all, bpf.VethwayMapGenerations)},
		PortFlows:    &PortFlows{array(all, bpf.VethwayMapPortFlows)},
		Quotas:       table(all, bpf.VethwayMapQuotas, quotasWire()),
		Fragments:    table(all, bpf.VethwayMapFragments, fragmentsWire()),
		Origins:      table(all, bpf.VethwayMapOrigins, originsWire()),
		Guards:       table(all, bpf.VethwayMapGuards, guardsWire()),
		Denied:       table(all, bpf.VethwayMapDenied, deniedWire()),
		Sources:      table(all, bpf.VethwayMapSources, sourcesWire()),
		Settings:     table(all, bpf.VethwayMapSettings, settingsWire()),
		Spliced:      table(all, bpf.VethwayMapSpliced, splicedWire()),
		Splices:      table(all, bpf.VethwayMapSplices, splicesWire()),
		Counters:     &Counters{all[bpf.VethwayMapCounters]},
		Tries:        &Tries{all[bpf.VethwayMapTries]},
		Events:       &Events{all[bpf.VethwayMapEvents]},
		Incarnations: &Incarnations{Numbers[uint64]{m: all[IncarnationsName], name: IncarnationsName}},
		Names:        names,
		all:          maps.Clone(all),
	}, nil
}

func table[K comparable, V any](all map[string]*ebpf.Map, name string, w wire[K, V]) *Table[K, V] {
	return &Table[K, V]{m: all[name], name: name, wire: w}
}

func array(all map[string]*ebpf.Map, name string) Array { return Array{m: all[name], name: name} }

// Maps returns the open maps by name. They remain the Set's.
func (s *Set) Maps() map[string]*ebpf.Map { return maps.Clone(s.all) }

// Close closes all maps. Pinned ones live on.
func (s *Set) Close() error {
	var errs []error
	for _, m := range s.all {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
