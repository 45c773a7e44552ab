// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/netip"
	"time"
)

// Event tells that a container was refused a flow. There is at most one a second for each container.
type Event struct {
	Time      time.Time `json:"Time"`
	Container string    `json:"Container"`
	Network   string    `json:"Network"`
	Reason    string    `json:"Reason"` // as of a Drop: quota, no-port or table-full
	// Protocol, Source and Destination are of the packet that was refused.
	Protocol    string         `json:"Protocol"`
	Source      netip.AddrPort `json:"Source"`
	Destination netip.AddrPort `json:"Destination"`
	Refused     uint64         `json:"Refused"` // flows, since the container was attached
}

// EventFilter narrows a listing; an empty field matches anything.
type EventFilter struct {
	Container string
	Since     time.Time
}
