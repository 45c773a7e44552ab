// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Array is a pinned array of numbers. Every index below its length has an entry.
type Array struct {
	m    *ebpf.Map
	name string
}

// Name of the map.
func (a *Array) Name() string { return a.name }

// Len is the number of entries.
func (a *Array) Len() int { return int(a.m.MaxEntries()) }

// Get reads one entry.
func (a *Array) Get(index uint32) (uint32, error) {
	var v uint32
	if err := a.m.Lookup(&index, &v); err != nil {
		return 0, fmt.Errorf("read %s[%d]: %w", a.name, index, err)
	}
	return v, nil
}

// Set writes entries.
func (a *Array) Set(values map[uint32]uint32) error {
	if len(values) == 0 {
		return nil
	}
	keys, vals := make([]uint32, 0, len(values)), make([]uint32, 0, len(values))
	for k, v := range values {
		keys, vals = append(keys, k), append(vals, v)
	}
	if err := updateAll(a.m, keys, vals); err != nil {
		return fmt.Errorf("write %s: %w", a.name, err)
	}
	return nil
}

// Each calls yield for every entry that is not zero, by index, until it returns false.
func (a *Array) Each(yield func(index, value uint32) bool) error {
	err := scan(a.m, func(keys, values []uint32) bool {
		for i, v := range values {
			if v != 0 && !yield(keys[i], v) {
				return false
			}
		}
		return true
	})
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("read %s: %w", a.name, err)
	}
	return nil
}
