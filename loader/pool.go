// SPDX-License-Identifier: Apache-2.0

package loader

// leastPool is how many NAT ports there must be to do without those that the host's own sockets pick from.
const leastPool = 256

// choosePool takes the larger of the two ranges beside the host's automatic ports, so that NAT ports and theirs are
// told apart by two compares. Where the host leaves too few, there is no such range (ok is false): the programs then
// keep its flows in the table beside ours.
func choosePool(localFirst, localLast uint16) (first, last uint16, ok bool) {
	const lowest, highest = 1024, 65535
	below := int(localFirst) - lowest
	above := highest - int(localLast)
	if max(below, above) < leastPool {
		return 0, 0, false
	}
	if below >= above {
		return lowest, localFirst - 1, true
	}
	return max(lowest, localLast+1), highest, true
}
