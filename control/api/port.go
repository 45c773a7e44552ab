// SPDX-License-Identifier: Apache-2.0

package api

import "net/netip"

// Protocols of published ports.
const (
	TCP  = "tcp"
	UDP  = "udp"
	SCTP = "sctp"
)

// PublishSpec is one -p argument, parsed: see ports.Parse for its grammar.
type PublishSpec struct {
	// HostIP is absent for every address of both families.
	HostIP netip.Addr `json:"HostIp,omitzero"`
	// HostPort 0 asks for a free port. With HostPortEnd it is a range: of the same length as the container's, or of any
	// length with a single container port, which gets the first free one.
	HostPort         uint16 `json:"HostPort,omitempty"`
	HostPortEnd      uint16 `json:"HostPortEnd,omitempty"`
	ContainerPort    uint16 `json:"ContainerPort"`
	ContainerPortEnd uint16 `json:"ContainerPortEnd,omitempty"`
	// Protocol is tcp when it is empty.
	Protocol string `json:"Protocol,omitempty"`
}

// PortPublish publishes ports of a container: all of them, or none and an error.
type PortPublish struct {
	Publish []PublishSpec `json:"Publish"`
}

// PortUnpublish withdraws published ports. A spec matches every published port that agrees with all that it says:
// HostIP absent and HostPort 0 match anything. A spec that matches nothing is an error, and nothing is withdrawn.
type PortUnpublish struct {
	Publish []PublishSpec `json:"Publish"`
}

// Port is a published port, or as many in a row as were published together and lead to as many ports in a row.
type Port struct {
	HostIP   netip.Addr `json:"HostIp"` // 0.0.0.0 or :: for every address of that family
	HostPort uint16     `json:"HostPort"`
	// HostPortEnd and ContainerPortEnd are the last ones; absent when it is one port.
	HostPortEnd      uint16 `json:"HostPortEnd,omitempty"`
	Protocol         string `json:"Protocol"`
	ContainerPort    uint16 `json:"ContainerPort"`
	ContainerPortEnd uint16 `json:"ContainerPortEnd,omitempty"`
	ContainerID      string `json:"ContainerId"`
	Container        string `json:"Container"` // its name
	// Network and Target say where the port, the first one of several, leads; both are empty while the container has no network that could
	// serve it (an internal one only, or none of the family).
	Network string         `json:"Network"`
	Target  netip.AddrPort `json:"Target"`
}

// PortFilter narrows a listing; an empty field matches anything.
type PortFilter struct {
	Container string
}
