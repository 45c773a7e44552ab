// SPDX-License-Identifier: Apache-2.0

// Package dataplane implements control.Dataplane on the maps and programs in the kernel.
//
// Sync works out what the maps should hold, compares that with what they do hold, and writes the difference: new
// entries first, then what makes old flows stale, then the removals. What the maps hold is remembered; after a start,
// and after any error, it is read back from them. So the maps themselves are the state, and a daemon that was killed at
// any moment finds in them where it stopped.
//
// # Slots
//
// A flow is live while the generation of its slot is the one it remembers. Each endpoint and each published port has a
// slot of its own. When it goes, or becomes another one, the slot's generation goes up, which ends its flows at once,
// and only then the slot may be given to somebody else. The map incarnations holds for each slot that is taken a digest
// of what it was given for, written before the slot is used and removed after its generation has gone up:
//
//	take:     generations[s]++   delete quotas[s]   incarnations[s] = digest   entry{s, generation}
//	release:  generations[s]++   delete entry       delete quotas[s]           delete incarnations[s]
//
// Generations and incarnations are shared memory: to read or write one takes no system call. Ports in a row get slots in a row
// where they are free, so that what the map of published ports holds can be remembered as runs: a port costs nothing but its
// entry.
//
// The quota is the endpoint's own count of flows, which the programs keep: nobody inherits it.
//
// Whatever step a crash comes after, the next Sync sees either an entry whose slot, generation and digest agree, and
// keeps it, or a slot that nothing refers to, and releases it.
package dataplane
