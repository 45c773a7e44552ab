// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// bbolt trusts the pages it reads: on a damaged file it panics, loops or takes all memory. So a file is looked over here
// before bbolt gets it. The format has been the same since version 2 of 2014:
//
//	page     id u64 | flags u16 | count u16 | overflow u32 | elements
//	meta     magic u32 | version u32 | page size u32 | flags u32 | root u64 | sequence u64 | freelist u64 |
//	         pages u64 | txid u64 | FNV-1a u64 of what comes before
//	branch   pos u32 | key size u32 | page u64          pos counts from the element itself
//	leaf     flags u32 | pos u32 | key size u32 | value size u32
//	bucket   root u64 | sequence u64 [| page, when root is 0]   the value of a leaf element with flag 1
const (
	pageHeader  = 16
	elementSize = 16
	metaSize    = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	bucketFlag   = 0x01
	noFreelist   = ^uint64(0)
)

var native = binary.NativeEndian

// pageFile is a bbolt file that is being looked over.
type pageFile struct {
	data  []byte
	size  uint64 // of a page
	pages uint64 // in use
	seen  map[uint64]bool
}

// checkPages walks all pages that can be reached and says what is wrong with them.
func checkPages(data []byte) error {
	f, root, freelist, err := readMeta(data)
	if err != nil {
		return err
	}
	if err := f.page(root); err != nil {
		return err
	}
	if freelist == noFreelist {
		return nil
	}
	return f.freelist(freelist)
}

// readMeta finds the younger of the two meta pages that are whole: a power cut may have spoiled the other.
func readMeta(data []byte) (f *pageFile, root, freelist uint64, err error) {
	var best []byte
	for _, at := range metaOffsets(data) {
		if at+pageHeader+metaSize > len(data) {
			continue
		}
		meta := data[at+pageHeader:][:metaSize]
		sum := fnv.New64a()
		sum.Write(meta[:56])
		if native.Uint32(meta) != metaMagic || native.Uint32(meta[4:]) != metaVersion || sum.Sum64() != native.Uint64(meta[56:]) {
			continue
		}
		if best == nil || native.Uint64(meta[48:]) > native.Uint64(best[48:]) {
			best = meta
		}
	}
	if best == nil {
		return nil, 0, 0, errors.New("it is no database")
	}
	f = &pageFile{data: data, size: uint64(native.Uint32(best[8:])), pages: native.Uint64(best[40:]), seen: map[uint64]bool{0: true, 1: true}}
	if f.size < 512 || f.pages > uint64(len(data))/f.size {
		return nil, 0, 0, errors.New("its end is missing")
	}
	return f, native.Uint64(best[16:]), native.Uint64(best[32:]), nil
}

// metaOffsets are where the meta pages may begin: the first one, or else the usual page sizes, say how long a page is.
func metaOffsets(data []byte) []int {
	offsets := []int{0}
	for size := 1 << 10; size <= 1<<16; size <<= 1 {
		if size+pageHeader+metaSize <= len(data) {
			offsets = append(offsets, size)
		}
	}
	return offsets
}

// span takes a page with its overflow, once.
func (f *pageFile) span(id uint64) ([]byte, error) {
	if id >= f.pages {
		return nil, fmt.Errorf("page %d lies beyond the end", id)
	}
	page := f.data[id*f.size:]
	if native.Uint64(page) != id {
		return nil, fmt.Errorf("page %d is not where it should be", id)
	}
	n := uint64(native.Uint32(page[12:])) + 1
	if n > f.pages-id {
		return nil, fmt.Errorf("page %d is too long", id)
	}
	for i := id; i < id+n; i++ {
		if f.seen[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		f.seen[i] = true
	}
	return page[:n*f.size], nil
}

func (f *pageFile) page(id uint64) error {
	page, err := f.span(id)
	if err != nil {
		return err
	}
	if err := f.elements(page); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements looks over a branch or a leaf, and whatever hangs on it.
func (f *pageFile) elements(page []byte) error {
	flags, count := native.Uint16(page[8:]), int(native.Uint16(page[10:]))
	if flags != branchFlag && flags != leafFlag {
		return fmt.Errorf("unknown kind %#x", flags)
	}
	if pageHeader+count*elementSize > len(page) || flags == branchFlag && count == 0 {
		return fmt.Errorf("%d elements do not fit", count)
	}
	for i := range count {
		element := page[pageHeader+i*elementSize:]
		var err error
		if flags == branchFlag {
			if _, err = field(element, native.Uint32(element), native.Uint32(element[4:])); err == nil {
				err = f.page(native.Uint64(element[8:]))
			}
		} else {
			err = f.leafElement(element)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

func (f *pageFile) leafElement(element []byte) error {
	flags, pos, key, value := native.Uint32(element), native.Uint32(element[4:]), native.Uint32(element[8:]), native.Uint32(element[12:])
	both, err := field(element, pos, uint64(key)+uint64(value))
	if err != nil {
		return err
	}
	if flags == 0 {
		return nil
	}
	bucket := both[key:]
	if flags != bucketFlag || len(bucket) < pageHeader {
		return fmt.Errorf("unknown kind %#x", flags)
	}
	if root := native.Uint64(bucket); root != 0 {
		return f.page(root)
	}
	if len(bucket) < 2*pageHeader || native.Uint16(bucket[pageHeader+8:]) != leafFlag {
		return errors.New("a bucket within has no leaf")
	}
	return f.elements(bucket[pageHeader:])
}

// field takes length bytes at pos, as long as they lie within.
func field[N uint32 | uint64](within []byte, pos uint32, length N) ([]byte, error) {
	if uint64(pos)+uint64(length) > uint64(len(within)) {
		return nil, errors.New("it points beyond its page")
	}
	return within[pos:][:length], nil
}

// freelist checks that what is free is in the file and not in use.
func (f *pageFile) freelist(id uint64) error {
	page, err := f.span(id)
	if err != nil {
		return fmt.Errorf("list of free pages: %w", err)
	}
	count, ids := uint64(native.Uint16(page[10:])), page[pageHeader:]
	if count == 0xffff {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if native.Uint16(page[8:]) != freelistFlag || count > uint64(len(ids))/8 {
		return errors.New("list of free pages: it is no such list")
	}
	for i := range count {
		free := native.Uint64(ids[i*8:])
		if free >= f.pages || f.seen[free] {
			return fmt.Errorf("list of free pages: page %d is not free", free)
		}
		f.seen[free] = true
	}
	return nil
}
