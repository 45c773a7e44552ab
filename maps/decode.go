// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
)

// What the decoder fails with.
var (
	ErrNoMap    = errors.New("no such map is pinned")
	ErrNoEntry  = errors.New("no such entry")
	ErrBadKey   = errors.New("not a key of this map")
	ErrOpaque   = errors.New("the kernel does not list this map's entries")
	ErrBadClock = errors.New("the monotonic clock cannot be read")
)

// Decoder reads the pinned maps of an instance as rows, whether its daemon runs or not.
type Decoder struct {
	paths Paths
	now   uint32
	names *Names
}

// DecoderConfig says whose maps to read.
type DecoderConfig struct {
	PinDir string
	// Now is CLOCK_MONOTONIC in seconds, for ages; nil: the kernel's.
	Now func() (uint32, error)
}

// NewDecoder makes a decoder.
func NewDecoder(cfg DecoderConfig) (*Decoder, error) {
	if cfg.PinDir == "" {
		return nil, errors.New("read maps: no pin directory given")
	}
	if cfg.Now == nil {
		cfg.Now = Monotonic
	}
	now, err := cfg.Now()
	if err != nil {
		return nil, err
	}
	return &Decoder{paths: Paths{Root: cfg.PinDir}, now: now}, nil
}

// Monotonic is CLOCK_MONOTONIC in seconds: the clock that flows are stamped with.
func Monotonic() (uint32, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadClock, err)
	}
	return uint32(ts.Sec), nil
}

// Info describes a pinned map.
type Info struct {
	Name       string
	Path       string
	Schema     int
	Type       string
	ID         uint32
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Entries    int    // those that are not zero, for an array; -1 where the kernel does not list them
	Memory     uint64 // bytes that the kernel took for it
}

// Row is the description as one row.
func (i Info) Row() Row {
	entries := any(i.Entries)
	if i.Entries < 0 {
		entries = nil
	}
	return Row{
		{"name", i.Name},
		{"type", i.Type},
		{"entries", entries},
		{"max_entries", i.MaxEntries},
		{"memory_bytes", i.Memory},
		{"key_size", i.KeySize},
		{"value_size", i.ValueSize},
		{"schema", i.Schema},
		{"id", i.ID},
		{"path", i.Path},
	}
}

// List describes every pinned map, by name. ErrNoMap: nothing is pinned.
func (d *Decoder) List() ([]Info, error) {
	files, err := os.ReadDir(d.paths.Maps())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", d.paths.Maps(), ErrNoMap)
	}
	if err != nil {
		return nil, fmt.Errorf("list maps: %w", err)
	}
	var list []Info
	for _, f := range files {
		name, version, err := ParsePin(f.Name())
		if err != nil {
			continue
		}
		info, err := d.info(name, version, d.paths.Maps()+"/"+f.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

func (d *Decoder) info(name string, version int, path string) (Info, error) {
	m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return Info{}, fmt.Errorf("open %s: %w", path, err)
	}
	defer m.Close()
	kernel, err := m.Info()
	if err != nil {
		return Info{}, fmt.Errorf("describe %s: %w", path, err)
	}
	id, _ := kernel.ID()
	memory, _ := kernel.Memlock()
	info := Info{
		Name: name, Path: path, Schema: version, Type: kernel.Type.String(), ID: uint32(id),
		KeySize: kernel.KeySize, ValueSize: kernel.ValueSize, MaxEntries: kernel.MaxEntries, Memory: memory, Entries: -1,
	}
	desc := describe(name)
	if desc == nil || desc.decode == nil || version != schema(name) {
		return info, nil
	}
	info.Entries = 0
	err = desc.decode(m, Names{}, d.now).each(func(Row) bool {
		info.Entries++
		return true
	})
	return info, err
}

// Dump calls yield for every entry of the named map until it returns false; zeros of arrays are left out.
// ErrNoMap: it is not pinned. ErrOpaque: its entries cannot be listed.
func (d *Decoder) Dump(name string, yield func(Row) bool) error {
	return d.with(name, func(dec decoder) error { return dec.each(yield) })
}

// Get returns the entry of a key in human syntax; see the package's documentation. ErrBadKey: the key does not
// parse. ErrNoEntry: there is none. For addresses it is the entry of the longest prefix that covers the key.
func (d *Decoder) Get(name, key string) (Row, error) {
	var row Row
	err := d.with(name, func(dec decoder) (err error) {
		row, err = dec.get(key)
		return err
	})
	return row, err
}

func (d *Decoder) with(name string, f func(decoder) error) error {
	desc := describe(name)
	if desc == nil {
		return fmt.Errorf("map %q: %w", name, ErrNoMap)
	}
	m, err := ebpf.LoadPinnedMap(d.paths.Map(name), &ebpf.LoadPinOptions{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("map %s: %w", name, ErrNoMap)
	}
	if err != nil {
		return fmt.Errorf("open map %s: %w", name, err)
	}
	defer m.Close()
	if desc.decode == nil {
		return fmt.Errorf("map %s: %w", name, ErrOpaque)
	}
	names, err := d.loadNames(m, name)
	if err != nil {
		return err
	}
	return f(desc.decode(m, names, d.now))
}

// loadNames prefers what the pinned map says of itself: the programs that fill it may be newer than this binary.
func (d *Decoder) loadNames(m *ebpf.Map, name string) (Names, error) {
	if d.names == nil {
		spec, err := bpf.LoadVethway()
		if err != nil {
			return Names{}, fmt.Errorf("read type information: %w", err)
		}
		names, err := NamesOf(spec)
		if err != nil {
			return Names{}, err
		}
		d.names = &names
	}
	names := *d.names
	handle, err := m.Handle()
	if err != nil {
		return names, nil // it has none, or we may not read it
	}
	defer handle.Close()
	own, err := handle.Spec(nil)
	if err != nil {
		return names, nil
	}
	pinned := names
	switch name {
	case bpf.VethwayMapCounters:
		err = pinned.loadCounters(own)
	case bpf.VethwayMapFlows4, bpf.VethwayMapFlows6:
		err = pinned.loadFlows(own)
	}
	if err != nil {
		return names, nil
	}
	return pinned, nil
}
