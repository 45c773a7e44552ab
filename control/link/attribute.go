// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// attributes walks the netlink attributes in data and ends at the first that does not fit, where the library's parser
// would panic.
func attributes(data []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(data) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(data))
			kind := binary.NativeEndian.Uint16(data[2:])
			if size < unix.SizeofRtAttr || size > len(data) || !yield(kind, data[unix.SizeofRtAttr:size]) {
				return
			}
			aligned := (size + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1)
			data = data[min(aligned, len(data)):]
		}
	}
}
