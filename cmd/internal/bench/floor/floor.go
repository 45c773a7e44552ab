// SPDX-License-Identifier: Apache-2.0

// Package floor measures what the kernel alone takes for tables, whoever fills them: below that nothing can be that keeps as much in a hash.
package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
)

// noPrealloc is BPF_F_NO_PREALLOC: memory is taken as entries come.
const noPrealloc = 1

// The least entries that translate a flow of TCP or UDP: by source, destination, ports and protocol, to as many, with what the checksums
// differ by and an interface. Those of test/rivals/leastnat.
type (
	tuple4   = [16]byte
	rewrite4 = [24]byte
	tuple6   = [40]byte
	rewrite6 = [48]byte
)

// The entry of a port in a map like published: an address of 16 bytes, port and protocol, to another, with what makes it stale.
type (
	port   = [24]byte
	target = [32]byte
)

// Flows is how many bytes a hash grows by that gets two entries for each of so many flows, as the kernel accounts for it.
func Flows(n int, ipv6 bool) (float64, error) {
	var bytes float64
	var err error
	if ipv6 {
		bytes, err = memory[tuple6, rewrite6](2 * n)
	} else {
		bytes, err = memory[tuple4, rewrite4](2 * n)
	}
	if err != nil {
		return 0, fmt.Errorf("measure the least memory of %d flows: %w", n, err)
	}
	return bytes, nil
}

// Ports is how long one batch takes that puts entries into an empty hash. published is for a hash as that of vethway, which takes memory as
// entries come, and has one for each family; least for one that has taken all memory beforehand, and one entry a port: nothing that looks ports
// up in a hash can do with less.
func Ports(n int) (published, least time.Duration, err error) {
	if published, err = batch[port, target](2*n, noPrealloc); err == nil {
		least, err = batch[port, target](n, 0)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("measure the least time for %d ports: %w", n, err)
	}
	return published, least, nil
}

func memory[K, V any](entries int) (_ float64, err error) {
	m, err := table[K, V](entries, noPrealloc)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	before, err := accounted(m)
	if err != nil {
		return 0, err
	}
	if _, err := m.BatchUpdate(keys[K](entries), make([]V, entries), nil); err != nil {
		return 0, fmt.Errorf("fill a hash: %w", err)
	}
	after, err := accounted(m)
	return after - before, err
}

func batch[K, V any](entries int, flags uint32) (took time.Duration, err error) {
	m, err := table[K, V](entries, flags)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	k, v := keys[K](entries), make([]V, entries)
	began := time.Now()
	if _, err := m.BatchUpdate(k, v, nil); err != nil {
		return 0, fmt.Errorf("fill a hash: %w", err)
	}
	return time.Since(began), nil
}

// table has the room that the map published has, or more if need be.
func table[K, V any](entries int, flags uint32) (*ebpf.Map, error) {
	const room = 262144
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "floor", Type: ebpf.Hash, KeySize: uint32(binary.Size(*new(K))), ValueSize: uint32(binary.Size(*new(V))),
		MaxEntries: uint32(max(room, entries)), Flags: flags,
	})
	if err != nil {
		return nil, fmt.Errorf("make a hash: %w", err)
	}
	return m, nil
}

// accounted is what /proc/…/fdinfo calls memlock.
func accounted(m *ebpf.Map) (float64, error) {
	info, err := m.Info()
	if err != nil {
		return 0, fmt.Errorf("ask for the memory of a hash: %w", err)
	}
	bytes, ok := info.Memlock()
	if !ok {
		return 0, errors.New("ask for the memory of a hash: the kernel does not tell")
	}
	return float64(bytes), nil
}

// keys are so many that differ.
func keys[K any](n int) []K {
	list := make([]K, n)
	for i := range list {
		// Their first four bytes are a number.
		*(*uint32)(unsafe.Pointer(&list[i])) = uint32(i)
	}
	return list
}
