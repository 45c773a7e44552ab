// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/netip"
	"time"
)

// Keys of network options, spelled as in Docker.
const (
	OptionBridgeName   = "com.docker.network.bridge.name"
	OptionMasquerade   = "com.docker.network.bridge.enable_ip_masquerade"
	OptionICC          = "com.docker.network.bridge.enable_icc"
	OptionGatewayMode  = "com.docker.network.bridge.gateway_mode" // for both families
	OptionGatewayMode4 = "com.docker.network.bridge.gateway_mode_ipv4"
	OptionGatewayMode6 = "com.docker.network.bridge.gateway_mode_ipv6"
	OptionMTU          = "com.docker.network.driver.mtu"
	// OptionHostIPv4 and OptionHostIPv6 name the host's address that containers' packets leave with.
	OptionHostIPv4 = "com.docker.network.host_ipv4"
	OptionHostIPv6 = "com.docker.network.host_ipv6"
	// The rest Docker does not have. OptionTimeout begins the names of several: see control.Timers.
	OptionFiltering      = "com.vethway.nat.filtering"
	OptionInboundRefresh = "com.vethway.nat.inbound-refresh"
	OptionTimeout        = "com.vethway.nat.timeout."
	OptionPortRest       = "com.vethway.nat.port-rest"
	OptionPacketSize     = "com.vethway.gso-max-size"
	// OptionSplice is true, or a list of ports: TCP connections between processes of this host then never become packets.
	OptionSplice = "com.vethway.tcp.splice"
)

// PacketSizeAuto is the value of OptionPacketSize that leaves it to vethwayd.
const PacketSizeAuto = "auto"

// Values of OptionFiltering (RFC 4787 section 5).
const (
	FilteringDependent   = "address-and-port-dependent" // only whom the container has sent to may answer
	FilteringIndependent = "endpoint-independent"       // whoever sends to a mapping is let in: of UDP, and of TCP where it has mappings
)

// Driver is the only network driver there is.
const Driver = "bridge"

// NetworkCreate asks for a network.
type NetworkCreate struct {
	Name string `json:"Name"`
	// Driver is "bridge" or empty.
	Driver string `json:"Driver,omitempty"`
	// EnableIPv4 is true when it is absent; EnableIPv6 when an IPv6 subnet is given.
	EnableIPv4 *bool             `json:"EnableIPv4,omitempty"`
	EnableIPv6 *bool             `json:"EnableIPv6,omitempty"`
	Internal   bool              `json:"Internal,omitempty"`
	IPAM       IPAM              `json:"IPAM"`
	Options    map[string]string `json:"Options,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

// IPAM is a network's addressing: at most one IPAMConfig a family; what is left out is chosen.
type IPAM struct {
	Driver string       `json:"Driver,omitempty"`
	Config []IPAMConfig `json:"Config"`
}

// IPAMConfig is the addressing of one family.
type IPAMConfig struct {
	Subnet  netip.Prefix `json:"Subnet,omitzero"`
	IPRange netip.Prefix `json:"IPRange,omitzero"`
	Gateway netip.Addr   `json:"Gateway,omitzero"`
	// AuxiliaryAddresses are kept out of the pool, each with a name that says what for.
	AuxiliaryAddresses map[string]netip.Addr `json:"AuxiliaryAddresses,omitempty"`
}

// NetworkCreated answers NetworkCreate.
type NetworkCreated struct {
	ID      string `json:"Id"`
	Warning string `json:"Warning"`
}

// Network is a network as `docker network inspect` shows it.
type Network struct {
	Name       string                      `json:"Name"`
	ID         string                      `json:"Id"`
	Created    time.Time                   `json:"Created"`
	Scope      string                      `json:"Scope"`
	Driver     string                      `json:"Driver"`
	EnableIPv4 bool                        `json:"EnableIPv4"`
	EnableIPv6 bool                        `json:"EnableIPv6"`
	IPAM       IPAM                        `json:"IPAM"`
	Internal   bool                        `json:"Internal"`
	Containers map[string]NetworkContainer `json:"Containers"` // by container ID
	Options    map[string]string           `json:"Options"`
	Labels     map[string]string           `json:"Labels"`

	// Index is the network's number in the packet programs' maps, Bridge the name of its bridge; Docker has neither.
	Index  uint32 `json:"Index"`
	Bridge string `json:"Bridge"`
	MTU    int    `json:"Mtu"`
}

// NetworkContainer is a container as a network shows it.
type NetworkContainer struct {
	Name        string       `json:"Name"`
	EndpointID  string       `json:"EndpointID"`
	MacAddress  string       `json:"MacAddress"`
	IPv4Address netip.Prefix `json:"IPv4Address"` // empty string when there is none
	IPv6Address netip.Prefix `json:"IPv6Address"`
}

// NetworksPruned answers a prune: the names of the networks that went.
type NetworksPruned struct {
	NetworksDeleted []string `json:"NetworksDeleted"`
}

// NetworkConnect connects a container, named by name or ID, to a network.
type NetworkConnect struct {
	Container      string         `json:"Container"`
	EndpointConfig EndpointConfig `json:"EndpointConfig"`
}

// NetworkDisconnect takes a container off a network.
type NetworkDisconnect struct {
	Container string `json:"Container"`
}

// EndpointConfig is what may be asked for an endpoint; everything left out is chosen.
type EndpointConfig struct {
	// IPAMConfig holds static addresses.
	IPAMConfig EndpointIPAMConfig `json:"IPAMConfig,omitzero"`
	MacAddress string             `json:"MacAddress,omitempty"`
	Aliases    []string           `json:"Aliases,omitempty"`
	// GwPriority decides which network has the container's default route: the highest.
	GwPriority int `json:"GwPriority,omitempty"`
	// InterfaceName is the interface's name in the container; empty: the first free eth<n>.
	InterfaceName string `json:"InterfaceName,omitempty"`
}

// EndpointIPAMConfig holds an endpoint's static addresses.
type EndpointIPAMConfig struct {
	IPv4Address netip.Addr `json:"IPv4Address,omitzero"`
	IPv6Address netip.Addr `json:"IPv6Address,omitzero"`
}
