// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// IncarnationsName is the map's name. The programs do not know it: it belongs to the daemon alone.
const IncarnationsName = "incarnations"

// Incarnations says for each slot that is taken what it was given for, as a digest that is never 0: a daemon that starts
// again tells by it the endpoints and published ports that are still the same ones from those that only look alike. An
// entry is written before the slot is used, and becomes 0 after its generation has gone up.
type Incarnations struct{ Numbers[uint64] }

// IncarnationsSpec describes the map to the loader; slots is how many slots there are.
func IncarnationsSpec(slots uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: IncarnationsName, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: slots, Flags: unix.BPF_F_MMAPABLE,
	}
}

func incarnationRow(k uint32, v uint64) Row {
	return Row{{"slot", k}, {"digest", fmt.Sprintf("%016x", v)}}
}
