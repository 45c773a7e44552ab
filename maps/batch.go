// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// batchSize is how many entries go into one call of the kernel: enough that the call itself costs nothing, few enough
// that the buffers stay small.
const batchSize = 4096

func isFull(err error) bool { return errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) }

// noBatch is for map types that have no batch operations in this kernel (LPM tries before 5.13, for one).
func noBatch(err error) bool { return errors.Is(err, ebpf.ErrNotSupported) }

func updateAll[K, V any](m *ebpf.Map, keys []K, values []V) error {
	_, err := m.BatchUpdate(keys, values, nil)
	if !noBatch(err) {
		return err
	}
	for i := range keys {
		if err := m.Update(&keys[i], &values[i], ebpf.UpdateAny); err != nil {
			return err
		}
	}
	return nil
}

// deleteAll steps over keys that do not exist: the kernel stops at the first of them.
func deleteAll[K any](m *ebpf.Map, keys []K) error {
	for len(keys) > 0 {
		n, err := m.BatchDelete(keys, nil)
		if noBatch(err) {
			return deleteEach(m, keys)
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, ebpf.ErrKeyNotExist) || n >= len(keys) {
			return err
		}
		keys = keys[n+1:]
	}
	return nil
}

func deleteEach[K any](m *ebpf.Map, keys []K) error {
	for i := range keys {
		if err := m.Delete(&keys[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// scan reads a whole map, chunk by chunk. A hash is read bucket by bucket, each of them under its lock: entries that
// stay are seen exactly once, whatever else comes and goes.
func scan[K, V any](m *ebpf.Map, yield func([]K, []V) bool) error {
	return scanFrom(m, min(batchSize, int(m.MaxEntries())), yield)
}

// scanFrom is scan with a first guess at how many entries to read at once.
func scanFrom[K, V any](m *ebpf.Map, size int, yield func([]K, []V) bool) error {
	keys, values := make([]K, size), make([]V, size)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		switch {
		case errors.Is(err, unix.ENOSPC):
			// One bucket alone holds more than fits; the cursor stands before it.
			if size >= 2*int(m.MaxEntries()) {
				return err
			}
			size *= 2
			keys, values = make([]K, size), make([]V, size)
			continue
		case noBatch(err):
			return scanEach(m, yield)
		case err != nil && !errors.Is(err, ebpf.ErrKeyNotExist):
			return err
		}
		if n > 0 && !yield(keys[:n], values[:n]) {
			return nil
		}
		if err != nil {
			return nil
		}
	}
}

func scanEach[K, V any](m *ebpf.Map, yield func([]K, []V) bool) error {
	keys, values := make([]K, 1), make([]V, 1)
	entries := m.Iterate()
	for entries.Next(&keys[0], &values[0]) {
		if !yield(keys, values) {
			return nil
		}
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("iterate: %w", err)
	}
	return nil
}
