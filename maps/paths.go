// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vethway/vethway/bpf"
)

// Paths names every file of one instance in the BPF file system. Nothing else in the module spells such a name.
//
//	<root>/maps/<map>_v<schema>            maps; they outlive program sets
//	<root>/progs/<set>/<program>, calls    one program set: the programs and their table of tail calls
//	<root>/links/<program>[-<ifindex>]     where the programs are attached
//	<root>/links/vw_defragment<4|6>-<cookie of a network namespace>
//
// The BPF file system forbids dots in names.
type Paths struct{ Root string }

// Maps is the directory of the maps.
func (p Paths) Maps() string { return filepath.Join(p.Root, "maps") }

// Map is where the named map is pinned.
func (p Paths) Map(name string) string { return filepath.Join(p.Maps(), PinName(name)) }

// Programs is the directory of the program sets.
func (p Paths) Programs() string { return filepath.Join(p.Root, "progs") }

// ProgramSet is the directory of one program set.
func (p Paths) ProgramSet(id string) string { return filepath.Join(p.Programs(), id) }

// Links is the directory of the links.
func (p Paths) Links() string { return filepath.Join(p.Root, "links") }

// Link is where the link of a program is pinned; ifindex is 0 for a program that is attached to a cgroup.
func (p Paths) Link(program string, ifindex int) string {
	if ifindex == 0 {
		return filepath.Join(p.Links(), program)
	}
	return filepath.Join(p.Links(), program+"-"+strconv.Itoa(ifindex))
}

// ParseLink takes the base name of a link's pin apart.
func ParseLink(base string) (program string, ifindex int, err error) {
	program, number, ok := strings.Cut(base, "-")
	if !ok {
		return program, 0, nil
	}
	ifindex, err = strconv.Atoi(number)
	if err != nil || ifindex <= 0 {
		return "", 0, fmt.Errorf("%q is not the name of a link", base)
	}
	return program, ifindex, nil
}

// PinName is the base name of the named map's pin: the layout's number is a part of it, so that a daemon with another
// layout never reads bytes that it does not understand.
func PinName(name string) string { return name + "_v" + strconv.Itoa(schema(name)) }

// ParsePin takes the base name of a map's pin apart.
func ParsePin(base string) (name string, schema int, err error) {
	at := strings.LastIndex(base, "_v")
	if at <= 0 {
		return "", 0, fmt.Errorf("%q is not the name of a map of ours", base)
	}
	schema, err = strconv.Atoi(base[at+2:])
	name = base[:at]
	if err != nil || schema <= 0 || describe(name) == nil && schema > retired(name) {
		return "", 0, fmt.Errorf("%q is not the name of a map of ours", base)
	}
	return name, schema, nil
}

// schema is the number of a map's layout. It goes up when a pinned map of the old layout cannot be used any more.
func schema(name string) int {
	switch name {
	case bpf.VethwayMapShortcuts: // the old ones lack the bridge's MAC address and the MTU
		return 2
	case bpf.VethwayMapQuotas, bpf.VethwayMapPortFlows: // the old ones count entries of the table of flows that is retired
		return 2
	}
	return 1
}

// retired is the last schema of a map that only daemons before this one had; 0: there never was one of that name.
func retired(name string) int {
	if name == "flows" { // both families in one table
		return 1
	}
	return 0
}

// Outdated reports whether a pin, taken apart, is of a map that only programs before these work on. One of a newer layout is not: who
// goes back to an older vethway and forth again finds it.
func Outdated(name string, number int) bool {
	return number <= retired(name) || describe(name) != nil && number < schema(name)
}
