// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// ErrFull is wrapped by the error of an Update that found no room in the map.
var ErrFull = errors.New("the map is full")

// Entry is one entry of a table.
type Entry[K, V any] struct {
	Key   K
	Value V
}

// Table is a pinned map with keys and values of Go's. It may be used by several goroutines at once.
type Table[K comparable, V any] struct {
	m    *ebpf.Map
	name string
	wire wire[K, V]
}

// wire hides the types of keys and values as the kernel has them.
type wire[K, V any] interface {
	update(m *ebpf.Map, entries []Entry[K, V]) error
	remove(m *ebpf.Map, keys []K) error
	lookup(m *ebpf.Map, key K) (V, error)
	each(m *ebpf.Map, yield func(K, V) bool) error
}

// Name of the map.
func (t *Table[K, V]) Name() string { return t.name }

// Capacity is how many entries the map can hold.
func (t *Table[K, V]) Capacity() int { return int(t.m.MaxEntries()) }

// Update adds or replaces entries, in their order. After an error, which wraps ErrFull if there was no room, some of
// them may have been written.
func (t *Table[K, V]) Update(entries []Entry[K, V]) error {
	if len(entries) == 0 {
		return nil
	}
	err := t.wire.update(t.m, entries)
	// E2BIG is what a hash says, ENOSPC the LPM trie.
	if isFull(err) {
		return fmt.Errorf("update %s: %w: it holds %d entries", t.name, ErrFull, t.m.MaxEntries())
	}
	if err != nil {
		return fmt.Errorf("update %s: %w", t.name, err)
	}
	return nil
}

// Delete removes entries, in their order; one that does not exist is no error.
func (t *Table[K, V]) Delete(keys []K) error {
	if len(keys) == 0 {
		return nil
	}
	if err := t.wire.remove(t.m, keys); err != nil {
		return fmt.Errorf("delete from %s: %w", t.name, err)
	}
	return nil
}

// Lookup returns the entry of a key, and false if there is none.
func (t *Table[K, V]) Lookup(key K) (V, bool, error) {
	v, err := t.wire.lookup(t.m, key)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return v, false, nil
	}
	if err != nil {
		return v, false, fmt.Errorf("look up in %s: %w", t.name, err)
	}
	return v, true, nil
}

// Each calls yield for every entry until it returns false. Entries that come or go meanwhile may be seen or not; all
// others are seen exactly once.
func (t *Table[K, V]) Each(yield func(K, V) bool) error {
	if err := t.wire.each(t.m, yield); err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	return nil
}

// Load returns all entries.
func (t *Table[K, V]) Load() (map[K]V, error) {
	all := make(map[K]V)
	err := t.Each(func(k K, v V) bool {
		all[k] = v
		return true
	})
	return all, err
}

// codec converts between Go's types and the kernel's.
type codec[K, V, WK, WV any] struct {
	key     func(K) WK
	unkey   func(WK) K
	value   func(V) WV
	unvalue func(WV) V
}

func (c codec[K, V, WK, WV]) update(m *ebpf.Map, entries []Entry[K, V]) error {
	size := min(len(entries), batchSize)
	keys, values := make([]WK, 0, size), make([]WV, 0, size)
	for len(entries) > 0 {
		chunk := entries[:min(len(entries), batchSize)]
		entries = entries[len(chunk):]
		keys, values = keys[:0], values[:0]
		for _, e := range chunk {
			keys, values = append(keys, c.key(e.Key)), append(values, c.value(e.Value))
		}
		if err := updateAll(m, keys, values); err != nil {
			return err
		}
	}
	return nil
}

func (c codec[K, V, WK, WV]) remove(m *ebpf.Map, keys []K) error {
	wires := make([]WK, 0, min(len(keys), batchSize))
	for len(keys) > 0 {
		chunk := keys[:min(len(keys), batchSize)]
		keys = keys[len(chunk):]
		wires = wires[:0]
		for _, k := range chunk {
			wires = append(wires, c.key(k))
		}
		if err := deleteAll(m, wires); err != nil {
			return err
		}
	}
	return nil
}

func (c codec[K, V, WK, WV]) lookup(m *ebpf.Map, key K) (V, error) {
	wireKey := c.key(key)
	var wireValue WV
	if err := m.Lookup(&wireKey, &wireValue); err != nil {
		var none V
		return none, err
	}
	return c.unvalue(wireValue), nil
}

func (c codec[K, V, WK, WV]) each(m *ebpf.Map, yield func(K, V) bool) error {
	return scan(m, func(keys []WK, values []WV) bool {
		for i := range keys {
			if !yield(c.unkey(keys[i]), c.unvalue(values[i])) {
				return false
			}
		}
		return true
	})
}
