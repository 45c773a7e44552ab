// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"hash/maphash"
	"syscall"

	"golang.org/x/sys/unix"
)

// news is what was last said of each interface, by its index. The kernel also reports what its message does not contain, such as that offloads
// were switched; a monitor or a driver may do so all day.
type news struct {
	seed maphash.Seed
	last map[uint32]uint64
}

func newNews() news { return news{seed: maphash.MakeSeed(), last: map[uint32]uint64{}} }

// repeats takes note of a message, and tells whether it says of an interface what the one before it did.
func (n news) repeats(m syscall.NetlinkMessage) bool {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg {
		return false
	}
	index := binary.NativeEndian.Uint32(m.Data[4:])
	if m.Header.Type == unix.RTM_DELLINK {
		delete(n.last, index)
		return false
	}
	var h maphash.Hash
	h.SetSeed(n.seed)
	h.Write(m.Data[:12]) // behind it is which flags have just changed
	for kind, value := range attributes(m.Data[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_STATS, unix.IFLA_STATS64, unix.IFLA_AF_SPEC, unix.IFLA_EVENT:
			continue // counters, of IPv6 too, and why there is a message
		}
		maphash.WriteComparable(&h, kind)
		maphash.WriteComparable(&h, len(value))
		h.Write(value)
	}
	sum := h.Sum64()
	before, known := n.last[index]
	n.last[index] = sum
	return known && before == sum
}
