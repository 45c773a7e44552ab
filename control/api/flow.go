// SPDX-License-Identifier: Apache-2.0

package api

import "net/netip"

// Flow is one NAT session.
type Flow struct {
	Protocol string `json:"Protocol"`
	Kind     string `json:"Kind"`
	Original Tuple  `json:"Original"`
	Reply    Tuple  `json:"Reply"`
	State    string `json:"State"`
	// Network and Container are names, as far as known.
	Network   string `json:"Network"`
	Container string `json:"Container"`
	Packets   uint64 `json:"Packets"`
	Bytes     uint64 `json:"Bytes"`
	RPackets  uint64 `json:"ReplyPackets"`
	RBytes    uint64 `json:"ReplyBytes"`
	// IdleSeconds since the last packet that keeps the flow, which is forgotten after TimeoutSeconds.
	IdleSeconds    float64 `json:"IdleSeconds"`
	TimeoutSeconds float64 `json:"TimeoutSeconds"`
	// Stale flows belong to an endpoint or port that is gone; they carry nothing and await collection.
	Stale bool `json:"Stale"`
}

// Tuple is a packet's addresses and ports.
type Tuple struct {
	Src netip.AddrPort `json:"Src"`
	Dst netip.AddrPort `json:"Dst"`
}

// FlowKinds are all that a session's Kind can be; a spliced one is no session of the flow table.
func FlowKinds() []string {
	return []string{"published", "masquerade", "hairpin", "routed", "host", "spliced"}
}

// FlowFilter narrows a listing or a flush; an empty field matches anything.
type FlowFilter struct {
	Container string     `json:"Container,omitempty"` // name or ID
	Network   string     `json:"Network,omitempty"`   // name or ID
	Protocol  string     `json:"Protocol,omitempty"`
	Kind      string     `json:"Kind,omitempty"`
	Address   netip.Addr `json:"Address,omitzero"` // in any place of either tuple
	Port      uint16     `json:"Port,omitempty"`   // in any place of either tuple
	Limit     int        `json:"Limit,omitempty"`  // list at most so many; 0: all
}

// FlowsFlushed answers a flush.
type FlowsFlushed struct {
	Flushed int `json:"Flushed"`
}

// Drop is one drop counter that is not zero.
type Drop struct {
	Hook    string `json:"Hook"`
	Reason  string `json:"Reason"`
	Packets uint64 `json:"Packets"`
	Bytes   uint64 `json:"Bytes"`
}

// FlowStats is how much of what flows need is used up.
type FlowStats struct {
	// Flows are those of both families, of which each has a table of its own: two entries each.
	Flows  TableUse `json:"Flows"`
	Flows4 TableUse `json:"Flows4"`
	Flows6 TableUse `json:"Flows6"`
	// Mappings are the external ports of UDP and ICMP: two entries each.
	Mappings   TableUse         `json:"Mappings"`
	Containers []ContainerFlows `json:"Containers"`
	Addresses  []AddressPorts   `json:"Addresses"`
	Tries      []PortTries      `json:"Tries"`
}

// PortTries is how many sessions found a free source port with so many tries, since the host started.
type PortTries struct {
	Tries    string `json:"Tries"` // such as "1" or "3-4"; "failed": none was free
	Sessions uint64 `json:"Sessions"`
}

// TableUse is how full a table is.
type TableUse struct {
	Entries  int     `json:"Entries"`
	Capacity int     `json:"Capacity"`
	Percent  float64 `json:"Percent"`
}

// ContainerFlows is what a container has begun on a network.
type ContainerFlows struct {
	Container string `json:"Container"`
	Network   string `json:"Network"`
	Flows     uint32 `json:"Flows"`   // now
	Limit     uint32 `json:"Limit"`   // 0: none
	Refused   uint64 `json:"Refused"` // since it was attached
}

// AddressPorts is how many source ports of an address outside some flow has, or had a moment ago.
type AddressPorts struct {
	Address  netip.Addr `json:"Address"`
	Protocol string     `json:"Protocol"`
	Ports    int        `json:"Ports"`
	Size     int        `json:"Size"` // of the pool
	Percent  float64    `json:"Percent"`
}
