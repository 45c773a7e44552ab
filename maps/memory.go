// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// entrySize is what the kernel rounds the size of an array's entries up to.
const entrySize = 8

// Memory is an array in the memory that the kernel itself has it in: to read or write an entry takes no system call, and a
// number that a program changes at the same time is not lost. It stays mapped, also when the map's handle was closed,
// until nobody refers to it any more.
type Memory[T uint32 | uint64] struct {
	words  []T
	stride uint32 // from one entry to the next, in words
	length uint32

	data    []byte
	cleanup runtime.Cleanup
}

// Memory maps the array, which must have been made with BPF_F_MMAPABLE.
func (a *Numbers[T]) Memory() (*Memory[T], error) {
	length := a.m.MaxEntries()
	page := os.Getpagesize()
	size := (int(length)*entrySize + page - 1) / page * page
	data, err := unix.Mmap(a.m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map the memory of %s: %w", a.name, err)
	}
	width := int(unsafe.Sizeof(T(0)))
	m := &Memory[T]{
		words:  unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), size/width),
		stride: uint32(entrySize / width), length: length, data: data,
	}
	m.cleanup = runtime.AddCleanup(m, unmap, data)
	return m, nil
}

// unmap cannot fail: data is what Mmap returned.
func unmap(data []byte) { _ = unix.Munmap(data) }

// close unmaps it at once: nobody may use it any more.
func (m *Memory[T]) close() {
	m.cleanup.Stop()
	m.words = nil
	unmap(m.data)
}

// Len is the number of entries.
func (m *Memory[T]) Len() uint32 { return m.length }

// each calls yield for every entry that is not zero until it returns false.
func (m *Memory[T]) each(yield func(index uint32, value T) bool) {
	for index := range m.length {
		if v := m.Get(index); v != 0 && !yield(index, v) {
			return
		}
	}
}

// Get reads an entry.
func (m *Memory[T]) Get(index uint32) T {
	switch p := any(&m.words[index*m.stride]).(type) {
	case *uint64:
		return T(atomic.LoadUint64(p))
	case *uint32:
		return T(atomic.LoadUint32(p))
	}
	return 0
}

// Set writes an entry.
func (m *Memory[T]) Set(index uint32, value T) {
	switch p := any(&m.words[index*m.stride]).(type) {
	case *uint64:
		atomic.StoreUint64(p, uint64(value))
	case *uint32:
		atomic.StoreUint32(p, uint32(value))
	}
}

// SetBits and ClearBits change some bits and leave the others to whoever else writes them.
func (m *Memory[T]) SetBits(index uint32, bits T) {
	switch p := any(&m.words[index*m.stride]).(type) {
	case *uint64:
		atomic.OrUint64(p, uint64(bits))
	case *uint32:
		atomic.OrUint32(p, uint32(bits))
	}
}

// ClearBits is SetBits the other way.
func (m *Memory[T]) ClearBits(index uint32, bits T) {
	switch p := any(&m.words[index*m.stride]).(type) {
	case *uint64:
		atomic.AndUint64(p, ^uint64(bits))
	case *uint32:
		atomic.AndUint32(p, ^uint32(bits))
	}
}
