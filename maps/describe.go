// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// descriptor is what the generic tools know of a map.
type descriptor struct {
	name   string
	needed bool // by Set
	// decode returns the map's decoder; nil if its entries cannot be read from outside the kernel.
	decode func(m *ebpf.Map, n Names, now uint32) decoder
}

// decoder reads a map as rows.
type decoder struct {
	each func(yield func(Row) bool) error
	get  func(key string) (Row, error)
}

// descriptors lists every map that may be pinned.
func descriptors() []descriptor {
	return []descriptor{
		{bpf.VethwayMapFlows4, true, func(m *ebpf.Map, n Names, now uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapFlows4, flows4Wire(), n.flowRow(now), parseFlow4Key)
		}},
		{bpf.VethwayMapFlows6, true, func(m *ebpf.Map, n Names, now uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapFlows6, flows6Wire(), n.flowRow(now), parseFlow6Key)
		}},
		{bpf.VethwayMapWays, true, func(m *ebpf.Map, _ Names, now uint32) decoder { return waysDecoder(m, now) }},
		{bpf.VethwayMapBindings, true, func(m *ebpf.Map, _ Names, now uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapBindings, bindingsWire(), bindingRow(now), parseBindingKey)
		}},
		{bpf.VethwayMapPublished, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapPublished, publishedWire(), publishedRow, parsePublishedKey)
		}},
		{bpf.VethwayMapEndpoints, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapEndpoints, endpointsWire(), endpointRow, netip.ParseAddr)
		}},
		{bpf.VethwayMapShortcuts, true, func(m *ebpf.Map, n Names, _ uint32) decoder { return shortcutsDecoder(m, n) }},
		{bpf.VethwayMapHairpins, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return arrayDecoder(m, bpf.VethwayMapHairpins, hairpinRow, parseNumber)
		}},
		{bpf.VethwayMapVeths, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapVeths, vethsWire(), vethRow, parseNumber)
		}},
		{bpf.VethwayMapNetworks, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapNetworks, networksWire(), networkRow, parseNumber)
		}},
		{bpf.VethwayMapAddresses, true, func(m *ebpf.Map, n Names, _ uint32) decoder {
			return prefixDecoder(m, bpf.VethwayMapAddresses, addressesWire(), n.addressRow)
		}},
		{bpf.VethwayMapUplinks, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapUplinks, uplinksWire(), uplinkRow, parseNumber)
		}},
		{bpf.VethwayMapPortUse, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return arrayDecoder(m, bpf.VethwayMapPortUse, portRow, parsePortKey)
		}},
		{bpf.VethwayMapPortFlows, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return arrayDecoder(m, bpf.VethwayMapPortFlows, portFlowsRow, parsePortKey)
		}},
		{bpf.VethwayMapQuotas, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapQuotas, quotasWire(), quotaRow, parseNumber)
		}},
		{bpf.VethwayMapFragments, true, func(m *ebpf.Map, _ Names, now uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapFragments, fragmentsWire(), fragmentRow(now), parseFragmentKey)
		}},
		{bpf.VethwayMapOrigins, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapOrigins, originsWire(), originRow, parseOriginKey)
		}},
		{bpf.VethwayMapSettings, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapSettings, settingsWire(), settingsRow, parseNumber)
		}},
		{bpf.VethwayMapGuards, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapGuards, guardsWire(), guardRow, parseNumber)
		}},
		{bpf.VethwayMapDenied, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return prefixDecoder(m, bpf.VethwayMapDenied, deniedWire(), deniedRow)
		}},
		{bpf.VethwayMapSources, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapSources, sourcesWire(), sourceRow, netip.ParseAddr)
		}},
		{bpf.VethwayMapGenerations, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return arrayDecoder(m, bpf.VethwayMapGenerations, generationRow, parseNumber)
		}},
		{bpf.VethwayMapCounters, true, func(m *ebpf.Map, n Names, _ uint32) decoder { return countersDecoder(m, n) }},
		{bpf.VethwayMapTries, true, func(m *ebpf.Map, _ Names, _ uint32) decoder { return triesDecoder(m) }},
		{IncarnationsName, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return arrayDecoder(m, IncarnationsName, incarnationRow, parseNumber)
		}},
		{bpf.VethwayMapSpliced, true, func(m *ebpf.Map, _ Names, _ uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapSpliced, splicedWire(), splicedRow, netip.ParseAddr)
		}},
		{bpf.VethwayMapSplices, true, func(m *ebpf.Map, _ Names, now uint32) decoder {
			return tableDecoder(m, bpf.VethwayMapSplices, splicesWire(), spliceRow(now), parseSpliceKey)
		}},
		// Sockets cannot be read from outside the kernel. Without support for splicing the first of the two is missing.
		{bpf.VethwayMapSpliceEnds, false, nil},
		{bpf.VethwayMapSpliceSockets, false, nil},
		// Events are read once, by the daemon.
		{bpf.VethwayMapEvents, true, nil},
		// What a socket of the host asked for is stored with the socket: the kernel lists it by socket only.
		{bpf.VethwayMapPeers, false, nil},
		{bpf.VethwayMapSockets, false, nil},
	}
}

// describe returns nil for a map that is not ours.
func describe(name string) *descriptor {
	for _, d := range descriptors() {
		if d.name == name {
			return &d
		}
	}
	return nil
}

func tableDecoder[K comparable, V any](m *ebpf.Map, name string, w wire[K, V], row func(K, V) Row, parse func(string) (K, error)) decoder {
	t := &Table[K, V]{m: m, name: name, wire: w}
	return decoder{
		each: func(yield func(Row) bool) error {
			return t.Each(func(k K, v V) bool { return yield(row(k, v)) })
		},
		get: func(s string) (Row, error) {
			key, err := parse(s)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
			}
			v, ok, err := t.Lookup(key)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, fmt.Errorf("%s %s: %w", name, s, ErrNoEntry)
			}
			return row(key, v), nil
		},
	}
}

// prefixDecoder finds the entry that the kernel would, which has a prefix of its own.
func prefixDecoder[V any](m *ebpf.Map, name string, w wire[netip.Prefix, V], row func(netip.Prefix, V) Row) decoder {
	t := &Table[netip.Prefix, V]{m: m, name: name, wire: w}
	d := tableDecoder(m, name, w, row, parsePrefixKey)
	d.get = func(s string) (Row, error) {
		key, err := parsePrefixKey(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
		}
		var found Row
		longest := -1
		err = t.Each(func(p netip.Prefix, v V) bool {
			if p.Bits() > longest && p.Bits() <= key.Bits() && p.Contains(key.Addr()) {
				longest, found = p.Bits(), row(p, v)
			}
			return true
		})
		if err == nil && found == nil {
			err = fmt.Errorf("%s %s: %w", t.name, s, ErrNoEntry)
		}
		return found, err
	}
	return d
}

func arrayDecoder[T uint32 | uint64](m *ebpf.Map, name string, row func(index uint32, value T) Row, parse func(string) (uint32, error)) decoder {
	a := Numbers[T]{m: m, name: name}
	return decoder{
		each: func(yield func(Row) bool) error {
			return a.Each(func(k uint32, v T) bool { return yield(row(k, v)) })
		},
		get: func(s string) (Row, error) {
			index, err := parse(s)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
			}
			if int(index) >= a.Len() {
				return nil, fmt.Errorf("%s %s: %w", name, s, ErrNoEntry)
			}
			v, err := a.Get(index)
			if err != nil {
				return nil, err
			}
			return row(index, v), nil
		},
	}
}

func countersDecoder(m *ebpf.Map, n Names) decoder {
	c := &Counters{m: m}
	return decoder{
		each: func(yield func(Row) bool) error {
			return c.Each(func(k CounterKey, v Counter) bool { return yield(n.counterRow(k, v)) })
		},
		get: func(s string) (Row, error) {
			key, err := n.parseCounterKey(s)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
			}
			v, ok, err := c.Lookup(key)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, fmt.Errorf("counters %s: %w", s, ErrNoEntry)
			}
			return n.counterRow(key, v), nil
		},
	}
}

func parseNumber(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q: want a number", s)
	}
	return uint32(v), nil
}

// Pinned reports whether the named map of the object outlives program sets, and so is pinned by itself.
func Pinned(name string) bool { return describe(name) != nil }
