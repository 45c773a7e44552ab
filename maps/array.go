// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Numbers is a pinned array of numbers. Every index below its length has an entry.
type Numbers[T uint32 | uint64] struct {
	m    *ebpf.Map
	name string
}

// Array is one of the kernel's usual kind.
type Array = Numbers[uint32]

// Name of the map.
func (a *Numbers[T]) Name() string { return a.name }

// Len is the number of entries.
func (a *Numbers[T]) Len() int { return int(a.m.MaxEntries()) }

// Get reads one entry.
func (a *Numbers[T]) Get(index uint32) (T, error) {
	var v T
	if err := a.m.Lookup(&index, &v); err != nil {
		return 0, fmt.Errorf("read %s[%d]: %w", a.name, index, err)
	}
	return v, nil
}

// Set writes entries.
func (a *Numbers[T]) Set(values map[uint32]T) error {
	if len(values) == 0 {
		return nil
	}
	keys, vals := make([]uint32, 0, len(values)), make([]T, 0, len(values))
	for k, v := range values {
		keys, vals = append(keys, k), append(vals, v)
	}
	if err := updateAll(a.m, keys, vals); err != nil {
		return fmt.Errorf("write %s: %w", a.name, err)
	}
	return nil
}

// Each calls yield for every entry that is not zero, by index, until it returns false.
func (a *Numbers[T]) Each(yield func(index uint32, value T) bool) error {
	// Who opened the map for reading only cannot have its memory.
	if m, err := a.Memory(); err == nil {
		defer m.close()
		m.each(yield)
		return nil
	}
	err := scan(a.m, func(keys []uint32, values []T) bool {
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

// Load returns the entries that are not zero.
func (a *Numbers[T]) Load() (map[uint32]T, error) {
	all := make(map[uint32]T)
	err := a.Each(func(index uint32, value T) bool {
		all[index] = value
		return true
	})
	return all, err
}
