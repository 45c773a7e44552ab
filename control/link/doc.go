// SPDX-License-Identifier: Apache-2.0

// Package link implements control.Links on rtnetlink: bridges, veth pairs, addresses, neighbours and routes of one
// "host" network namespace and of the containers attached to it.
//
// Every function reads before it writes, and writes only what differs: a change of ours comes back through Watch, and
// a reconcile that changed something each time would never come to rest. All work is bound to namespaces by file
// descriptor; the namespace of the calling thread plays no part after New.
package link
