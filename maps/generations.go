// SPDX-License-Identifier: Apache-2.0

package maps

// Generations counts for each slot how often it has changed hands: a flow is live while it remembers the current
// number. Slot 0 counts changes of routes, addresses and links.
type Generations struct{ Array }

// RouteSlot is the slot that counts changes of routes, addresses and links.
const RouteSlot = 0

// HostSlot is given to nobody, and so never changes: for what hangs on no endpoint.
const HostSlot = 262143

func generationRow(index, value uint32) Row {
	return Row{{"slot", index}, {"generation", value}}
}
