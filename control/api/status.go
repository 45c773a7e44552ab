// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/netip"
	"time"
)

// Status says how the daemon is.
type Status struct {
	Version       string    `json:"Version"`
	PID           int       `json:"Pid"`
	Started       time.Time `json:"Started"`
	UptimeSeconds float64   `json:"UptimeSeconds"`
	Netns         string    `json:"Netns"`
	StateFile     string    `json:"StateFile"`
	AttachMode    string    `json:"AttachMode"` // tcx or clsact
	Features      []string  `json:"Features"`
	FlowTable     int       `json:"FlowTable"` // flows of each family that it holds: vethwayd --flow-table-size
	Networks      int       `json:"Networks"`
	Containers    int       `json:"Containers"`
	Endpoints     int       `json:"Endpoints"`
	Ports         int       `json:"Ports"`
	Uplinks       []Uplink  `json:"Uplinks"`
	// LastReconcile is when the host was last compared with the desired state.
	LastReconcile time.Time `json:"LastReconcile"`
	// Degraded lists what the last reconcile could not put right; empty when all is well.
	Degraded []Condition `json:"Degraded"`
}

// Uplink is an interface that leads out of the host.
type Uplink struct {
	Name      string       `json:"Name"`
	Index     int          `json:"Index"`
	MTU       int          `json:"Mtu"`
	Addresses []netip.Addr `json:"Addresses"`
}

// Condition is something that is not as it should be.
type Condition struct {
	Subject string    `json:"Subject"` // such as "network web" or "container c1"
	Message string    `json:"Message"`
	Since   time.Time `json:"Since"`
}
