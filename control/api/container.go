// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/netip"
	"time"
)

// ContainerAttach makes a container of a network namespace that exists: it is connected to networks, and ports of it
// are published. It succeeds as a whole or changes nothing.
type ContainerAttach struct {
	// Name is chosen when it is empty.
	Name string `json:"Name,omitempty"`
	// Namespace is a path, a process ID, or a name as in `ip netns`.
	Namespace string              `json:"Namespace"`
	Networks  []NetworkConnection `json:"Networks"`
	Publish   []PublishSpec       `json:"Publish,omitempty"`
	Labels    map[string]string   `json:"Labels,omitempty"`
}

// NetworkConnection is one network of a ContainerAttach.
type NetworkConnection struct {
	// Network is a name, an ID, or the beginning of an ID.
	Network string `json:"Network"`
	EndpointConfig
}

// ContainerAttached answers ContainerAttach.
type ContainerAttached struct {
	ID       string   `json:"Id"`
	Name     string   `json:"Name"`
	Warnings []string `json:"Warnings"`
}

// Container is an attached network namespace, its network part in the shape of `docker inspect`.
type Container struct {
	ID              string            `json:"Id"`
	Name            string            `json:"Name"`
	Created         time.Time         `json:"Created"`
	Namespace       Namespace         `json:"Namespace"`
	Labels          map[string]string `json:"Labels"`
	NetworkSettings NetworkSettings   `json:"NetworkSettings"`
}

// Namespace says which network namespace a container is.
type Namespace struct {
	Path   string `json:"Path"`
	Cookie uint64 `json:"Cookie"`
}

// NetworkSettings is the network part of a container.
type NetworkSettings struct {
	// Ports are the published ports by container port, such as "80/tcp".
	Ports    map[string][]PortBinding    `json:"Ports"`
	Networks map[string]EndpointSettings `json:"Networks"` // by network name
}

// PortBinding is where a container port is published.
type PortBinding struct {
	HostIP   netip.Addr `json:"HostIp"`
	HostPort string     `json:"HostPort"` // a string, as in Docker
}

// EndpointSettings is a container's attachment to one network.
type EndpointSettings struct {
	IPAMConfig          EndpointIPAMConfig `json:"IPAMConfig,omitzero"` // the static addresses that were asked for
	Aliases             []string           `json:"Aliases"`
	MacAddress          string             `json:"MacAddress"`
	GwPriority          int                `json:"GwPriority"`
	NetworkID           string             `json:"NetworkID"`
	EndpointID          string             `json:"EndpointID"`
	Gateway             netip.Addr         `json:"Gateway"` // empty string when there is none
	IPAddress           netip.Addr         `json:"IPAddress"`
	IPPrefixLen         int                `json:"IPPrefixLen"`
	IPv6Gateway         netip.Addr         `json:"IPv6Gateway"`
	GlobalIPv6Address   netip.Addr         `json:"GlobalIPv6Address"`
	GlobalIPv6PrefixLen int                `json:"GlobalIPv6PrefixLen"`
	InterfaceName       string             `json:"InterfaceName"`
	HostInterface       string             `json:"HostInterface"`
	// DefaultRoute says for which families the container's default route leads here: "ipv4", "ipv6".
	DefaultRoute []string `json:"DefaultRoute"`
}
