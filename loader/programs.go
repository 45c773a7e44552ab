// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	stdmaps "maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// unfinished begins the name of the directory of a program set that is being pinned.
const unfinished = "new-"

// programSet is all programs of one load, and the table of tail calls that they share.
type programSet struct {
	id       string
	programs map[string]*ebpf.Program
	ids      map[string]ebpf.ProgramID
	calls    *ebpf.Map
	cgroup   map[string]ebpf.AttachType // the programs for sockets
}

func (s *programSet) close() error {
	var errs []error
	for _, p := range s.programs {
		errs = append(errs, p.Close())
	}
	if s.calls != nil {
		errs = append(errs, s.calls.Close())
	}
	return errors.Join(errs...)
}

// learnIDs asks the kernel for the programs' numbers, by which attached programs are recognised.
func (s *programSet) learnIDs() error {
	s.ids = make(map[string]ebpf.ProgramID, len(s.programs))
	for name, p := range s.programs {
		info, err := p.Info()
		if err != nil {
			return fmt.Errorf("describe program %s: %w", name, err)
		}
		id, ok := info.ID()
		if !ok {
			return fmt.Errorf("describe program %s: it has no number", name)
		}
		s.ids[name] = id
	}
	return nil
}

// openPrograms adopts the pinned program set if it is the one that would be loaded, and loads it otherwise.
func (l *Loader) openPrograms(spec *ebpf.CollectionSpec) (*programSet, error) {
	if err := l.setKnobs(spec); err != nil {
		return nil, err
	}
	id, err := l.setID(spec)
	if err != nil {
		return nil, err
	}
	set, err := l.adoptSet(id, spec)
	if err != nil {
		l.log.Warn("the pinned programs cannot be adopted, loading them again", "set", id, "error", err)
	}
	if set == nil {
		// A set that is damaged may still run, with its tail calls: it stays until the links have left it.
		for exists(l.paths.ProgramSet(id)) {
			id += "x"
		}
		if set, err = l.loadSet(id, spec); err != nil {
			return nil, err
		}
	}
	if err := set.learnIDs(); err != nil {
		return nil, errors.Join(err, set.close())
	}
	return set, nil
}

// setKnobs gives the constants of bpf/lib/config.h their values.
func (l *Loader) setKnobs(spec *ebpf.CollectionSpec) error {
	knobs := map[string]any{bpf.VethwayVarHostNetns: l.cfg.NetnsCookie}
	if l.cfg.PoolLast != 0 {
		knobs[bpf.VethwayVarPoolFirst], knobs[bpf.VethwayVarPoolLast] = l.cfg.PoolFirst, l.cfg.PoolLast
	}
	if l.cfg.LocalLast != 0 {
		knobs[bpf.VethwayVarLocalFirst], knobs[bpf.VethwayVarLocalLast] = l.cfg.LocalFirst, l.cfg.LocalLast
	}
	if err := errors.Join(setVariables(spec, knobs), l.features.Apply(spec)); err != nil {
		return err
	}
	for name, into := range map[string]*uint16{bpf.VethwayVarPoolFirst: &l.poolFirst, bpf.VethwayVarPoolLast: &l.poolLast} {
		if err := spec.Variables[name].Get(into); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

func setVariables(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		v := spec.Variables[name]
		if v == nil {
			return fmt.Errorf("the object has no variable %s", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// setID is a digest of all that makes a program set: instructions, constants, and the maps that they work on. Two sets
// of the same name are the same.
func (l *Loader) setID(spec *ebpf.CollectionSpec) (string, error) {
	sum := sha256.New()
	for _, name := range slices.Sorted(stdmaps.Keys(spec.Programs)) {
		p := spec.Programs[name]
		fmt.Fprintf(sum, "%s %s %s\n%v\n", name, p.Type, p.AttachType, p.Instructions)
	}
	for _, name := range slices.Sorted(stdmaps.Keys(spec.Variables)) {
		fmt.Fprintf(sum, "%s %x\n", name, spec.Variables[name].Value)
	}
	for _, name := range slices.Sorted(stdmaps.Keys(spec.Maps)) {
		fmt.Fprintf(sum, "%v\n", spec.Maps[name])
	}
	pinned := l.maps.Maps()
	for _, name := range slices.Sorted(stdmaps.Keys(pinned)) {
		info, err := pinned[name].Info()
		if err != nil {
			return "", fmt.Errorf("describe map %s: %w", name, err)
		}
		id, _ := info.ID()
		fmt.Fprintf(sum, "%s %d\n", name, id)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// adoptSet opens a pinned program set; nil if there is none of that name.
func (l *Loader) adoptSet(id string, spec *ebpf.CollectionSpec) (*programSet, error) {
	dir := l.paths.ProgramSet(id)
	if !exists(dir) {
		return nil, nil
	}
	set := &programSet{id: id, programs: make(map[string]*ebpf.Program, len(spec.Programs))}
	for name := range spec.Programs {
		p, err := ebpf.LoadPinnedProgram(filepath.Join(dir, name), nil)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open program %s: %w", name, err), set.close())
		}
		set.programs[name] = p
	}
	calls, err := ebpf.LoadPinnedMap(filepath.Join(dir, bpf.VethwayMapCalls), nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the tail calls: %w", err), set.close())
	}
	set.calls = calls
	return set, nil
}

// loadSet loads a program set and pins it: all of it appears at once, by a rename.
func (l *Loader) loadSet(id string, spec *ebpf.CollectionSpec) (*programSet, error) {
	pinned := l.maps.Maps()
	delete(pinned, maps.IncarnationsName)
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: pinned})
	if err != nil {
		return nil, wrapPermission("load the programs", err)
	}
	defer coll.Close()
	set := &programSet{id: id, programs: make(map[string]*ebpf.Program, len(spec.Programs))}
	for name := range spec.Programs {
		set.programs[name] = coll.DetachProgram(name)
	}
	set.calls = coll.DetachMap(bpf.VethwayMapCalls)
	if err := l.pinSet(set); err != nil {
		return nil, errors.Join(err, set.close())
	}
	l.log.Info("programs loaded", "set", id)
	return set, nil
}

func (l *Loader) pinSet(set *programSet) error {
	dir := l.paths.ProgramSet(unfinished + set.id)
	if err := remove(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make pin directory: %w", err)
	}
	err := pinAll(set, dir)
	if err == nil {
		err = os.Rename(dir, l.paths.ProgramSet(set.id))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("pin program set %s: %w", set.id, err), remove(dir))
	}
	return nil
}

func pinAll(set *programSet, dir string) error {
	for name, p := range set.programs {
		if err := p.Pin(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return set.calls.Pin(filepath.Join(dir, bpf.VethwayMapCalls))
}

// removeOldSets unpins every program set but the running one. Nothing is attached that belongs to them any more.
func (l *Loader) removeOldSets() error {
	sets, err := readDir(l.paths.Programs())
	if err != nil {
		return err
	}
	for _, id := range sets {
		if id == l.set.id {
			continue
		}
		if err := remove(l.paths.ProgramSet(id)); err != nil {
			return err
		}
		if !strings.HasPrefix(id, unfinished) {
			l.log.Info("old programs removed", "set", id)
		}
	}
	return nil
}
