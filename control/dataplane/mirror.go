// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"slices"

	"github.com/vethway/vethway/maps"
)

// mirror is what a table holds, as far as known.
type mirror[K, V comparable] struct {
	table *maps.Table[K, V]
	order func(a, b K) int // in which entries are added; they are removed the other way round
	have  map[K]V
	known bool
	// changed is set by add and remove when they change something, for who wants to know.
	changed bool
}

func newMirror[K, V comparable](table *maps.Table[K, V], order func(a, b K) int) mirror[K, V] {
	return mirror[K, V]{table: table, order: order}
}

// load reads the table back unless what it holds is known.
func (m *mirror[K, V]) load() error {
	if m.known {
		return nil
	}
	have, err := m.table.Load()
	if err != nil {
		return err
	}
	m.have, m.known = have, true
	return nil
}

// add writes the entries of want that are missing or different.
func (m *mirror[K, V]) add(want map[K]V) error {
	var keys []K
	for k, v := range want {
		if have, ok := m.have[k]; !ok || have != v {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, m.order)
	entries := make([]maps.Entry[K, V], len(keys))
	for i, k := range keys {
		entries[i] = maps.Entry[K, V]{Key: k, Value: want[k]}
	}
	m.changed = m.changed || len(entries) > 0
	if err := m.table.Update(entries); err != nil {
		m.known = false
		return err
	}
	for _, e := range entries {
		m.have[e.Key] = e.Value
	}
	return nil
}

// remove deletes the entries that are not in want.
func (m *mirror[K, V]) remove(want map[K]V) error {
	var keys []K
	for k := range m.have {
		if _, ok := want[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b K) int { return m.order(b, a) })
	m.changed = m.changed || len(keys) > 0
	if err := m.table.Delete(keys); err != nil {
		m.known = false
		return err
	}
	for _, k := range keys {
		delete(m.have, k)
	}
	return nil
}
