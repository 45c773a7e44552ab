// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// openMaps opens the pinned maps and makes those that are missing. It changes spec to fit tables of another size.
func (l *Loader) openMaps(spec *ebpf.CollectionSpec) error {
	if l.cfg.FlowEntries != 0 {
		flows4, flows6, bindings := spec.Maps[bpf.VethwayMapFlows4], spec.Maps[bpf.VethwayMapFlows6], spec.Maps[bpf.VethwayMapBindings]
		// As many bindings for each flow of a family as in the object.
		ratio := flows4.MaxEntries / bindings.MaxEntries
		flows4.MaxEntries, flows6.MaxEntries = l.cfg.FlowEntries, l.cfg.FlowEntries
		bindings.MaxEntries = max(1, l.cfg.FlowEntries/ratio)
	}
	names, err := maps.NamesOf(spec)
	if err != nil {
		return err
	}
	specs := pinnedSpecs(spec)
	all := make(map[string]*ebpf.Map, len(specs))
	closeAll := func(err error) error {
		for _, m := range all {
			err = errors.Join(err, m.Close())
		}
		return err
	}
	for name, s := range specs {
		m, err := l.openMap(name, s)
		if err != nil {
			return closeAll(err)
		}
		all[name] = m
	}
	if l.maps, err = maps.NewSet(all, names); err != nil {
		return closeAll(err)
	}
	return nil
}

// pinnedSpecs are the maps that outlive program sets. All others belong to their set.
func pinnedSpecs(spec *ebpf.CollectionSpec) map[string]*ebpf.MapSpec {
	pinned := map[string]*ebpf.MapSpec{
		maps.IncarnationsName: maps.IncarnationsSpec(spec.Maps[bpf.VethwayMapGenerations].MaxEntries),
	}
	for name, s := range spec.Maps {
		if maps.Pinned(name) {
			pinned[name] = s
		}
	}
	return pinned
}

func (l *Loader) openMap(name string, spec *ebpf.MapSpec) (*ebpf.Map, error) {
	path := l.paths.Map(name)
	m, err := ebpf.LoadPinnedMap(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return makeMap(path, spec)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, wrapPermission("open "+path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrForeignPin, err)
	}
	if sized(name) && m.MaxEntries() != spec.MaxEntries {
		// Another size is no other layout: the flows that are in it are worth more than the wish.
		if l.cfg.FlowEntries != 0 {
			l.log.Warn("a table keeps the size that it was made with until vethway is uninstalled or the machine starts again",
				"table", name, "entries", m.MaxEntries(), "wanted", spec.MaxEntries)
		}
		spec.MaxEntries = m.MaxEntries()
	}
	if err := spec.Compatible(m); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", path, ErrForeignPin, err), m.Close())
	}
	return m, nil
}

// sized says whether a pinned map may have another size than that of the object.
func sized(name string) bool {
	return name == bpf.VethwayMapFlows4 || name == bpf.VethwayMapFlows6 || name == bpf.VethwayMapBindings
}

// removeOldMaps unpins the maps that only older programs have worked on; none of these is attached any more.
func (l *Loader) removeOldMaps() error {
	files, err := readDir(l.paths.Maps())
	if err != nil {
		return err
	}
	for _, base := range files {
		name, number, err := maps.ParsePin(base)
		if err != nil || !maps.Outdated(name, number) {
			continue
		}
		if err := remove(filepath.Join(l.paths.Maps(), base)); err != nil {
			return err
		}
		l.log.Info("old map removed", "map", base)
	}
	return nil
}

func makeMap(path string, spec *ebpf.MapSpec) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, wrapPermission("make map "+spec.Name, err)
	}
	if err := m.Pin(path); err != nil {
		return nil, errors.Join(fmt.Errorf("pin map %s: %w", spec.Name, err), m.Close())
	}
	return m, nil
}
