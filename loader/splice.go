// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// splicePrograms are those that only splicing needs.
func splicePrograms() []string {
	return []string{
		bpf.VethwayProgVwFromSpliced, bpf.VethwayProgVwSpliceSend,
		bpf.VethwayProgVwSpliceBound, bpf.VethwayProgVwSpliceClose, bpf.VethwayProgVwSpliceOption,
	}
}

// isSpliceHook tells the cgroup's programs that are attached when splicing is asked for from those that always are.
func isSpliceHook(program string) bool {
	return program == bpf.VethwayProgVwSpliceBound || program == bpf.VethwayProgVwSpliceClose || program == bpf.VethwayProgVwSpliceOption
}

// probeSplice loads the program that looks into the reader's socket, into maps of its own. Kernels are built without what it
// needs, and a kernel in lockdown does not let programs read its memory.
func probeSplice() (bool, error) {
	spec, err := bpf.LoadVethway()
	if err != nil {
		return false, fmt.Errorf("read the object: %w", err)
	}
	program := spec.Programs[bpf.VethwayProgVwSpliceSend]
	for name, m := range spec.Maps {
		switch {
		case name[0] == '.': // constants
		case m.Type == ebpf.SockHash || m.Type == ebpf.Hash || m.Type == ebpf.Array:
			m.MaxEntries = 1
		case name != bpf.VethwayMapSpliceSockets:
			delete(spec.Maps, name)
		}
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{program.Name: program}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return false, nil
	}
	defer coll.Close()
	send, ends := coll.Programs[program.Name], coll.Maps[bpf.VethwayMapSpliceEnds]
	return attachSend(send, ends) == nil, nil
}

// attachSend gives the sockets that will be in ends the program. The kernel keeps it as long as ends is open or pinned somewhere.
func attachSend(send *ebpf.Program, ends *ebpf.Map) error {
	return link.RawAttachProgram(link.RawAttachProgramOptions{
		Target: ends.FD(), Program: send, Attach: ebpf.AttachSkMsgVerdict,
	})
}

// withoutSplice leaves out what the kernel would not load.
func withoutSplice(spec *ebpf.CollectionSpec) {
	for _, name := range splicePrograms() {
		delete(spec.Programs, name)
	}
	delete(spec.Maps, bpf.VethwayMapSpliceEnds)
}

// Splice makes ready for splicing, or takes off what only that needs. Sockets that are spliced stay as they are until they are closed: so what
// notices that is left while there are any. ErrNoSplice.
func (l *Loader) Splice(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.features.Splice {
		if on {
			return ErrNoSplice
		}
		return nil
	}
	if !on {
		return l.endSplice()
	}
	l.splice = true
	_, err := l.attachCgroup()
	return err
}

func (l *Loader) endSplice() error {
	if !l.splice {
		return nil
	}
	some := false
	if err := l.maps.Splices.Each(func(_ maps.SpliceKey, _ maps.Splice) bool { some = true; return false }); err != nil {
		return err
	}
	if some {
		return nil
	}
	l.splice = false
	return l.detachCgroup(isSpliceHook)
}

// uninstallSplices sends what is spliced the ordinary way: the sockets hold their program, and the maps that it works on, until
// they are closed.
func uninstallSplices(paths maps.Paths) error {
	m, err := ebpf.LoadPinnedMap(paths.Map(bpf.VethwayMapSplices), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the spliced connections: %w", err)
	}
	defer m.Close()
	// One that is gone meanwhile ends an iteration; another one may begin only where a program still runs, and none does.
	for key := make([]byte, m.KeySize()); m.NextKey(nil, key) == nil; {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("end the spliced connections: %w", err)
		}
	}
	return nil
}

// openSplice has the sockets that are spliced from now on use the running program. Those that are already keep theirs, and work on
// the same maps.
func (l *Loader) openSplice() error {
	if !l.features.Splice {
		return nil
	}
	for program := range l.cgroup {
		l.splice = l.splice || isSpliceHook(program)
	}
	if err := attachSend(l.set.programs[bpf.VethwayProgVwSpliceSend], l.maps.Maps()[bpf.VethwayMapSpliceEnds]); err != nil {
		return wrapPermission("attach "+bpf.VethwayProgVwSpliceSend, err)
	}
	return nil
}
