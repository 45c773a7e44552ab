// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net"
	"net/netip"
	"time"

	"github.com/vethway/vethway/control/ipam"
	"github.com/vethway/vethway/control/ports"
)

// The records of the desired state. Once one is part of a state it is never changed: a request puts a changed copy in
// its place. Field names are the store's layout; changing one needs a new schema there.

// network is a network as it was asked for, with what was chosen for it.
type network struct {
	ID         string
	Name       string
	Index      uint32 // in the packet programs' maps
	Created    time.Time
	Bridge     string
	MAC        mac
	MTU        int
	Internal   bool `json:",omitempty"`
	Masquerade bool `json:",omitempty"`
	// HostIPv4 and HostIPv6 take the place of the egress route's source address; invalid: none was asked for.
	HostIPv4 netip.Addr   `json:",omitzero"`
	HostIPv6 netip.Addr   `json:",omitzero"`
	IPv4     *addressing  `json:",omitempty"`
	IPv6     *addressing  `json:",omitempty"`
	NAT      natOptions   `json:",omitzero"`
	Splice   spliceOption `json:",omitzero"`
	// PacketSize was asked for; 0: as large as pays.
	PacketSize int `json:",omitempty"`
	Options    map[string]string
	Labels     map[string]string
}

// addressing is one family of a network.
type addressing struct {
	Subnet  netip.Prefix
	Range   netip.Prefix `json:",omitzero"`
	Gateway netip.Addr
	Aux     map[string]netip.Addr `json:",omitempty"`
}

// container is an attached namespace.
type container struct {
	ID        string
	Name      string
	Created   time.Time
	Namespace NamespaceRef
	Labels    map[string]string
	Endpoints []*endpoint // in the order in which they were connected
	Ports     []port
}

// endpoint is a container's attachment to one network.
type endpoint struct {
	ID         string
	Network    string // its ID
	MAC        mac
	IPv4, IPv6 netip.Addr `json:",omitzero"`
	// Static4 and Static6 tell that the address was asked for.
	Static4, Static6 bool `json:",omitempty"`
	Aliases          []string
	GwPriority       int `json:",omitempty"`
	// Interface is the name in the container; empty until the kernel has chosen one. NameChosen tells that it has.
	Interface   string
	NameChosen  bool `json:",omitempty"`
	Incarnation string
}

// port is a published port of a container.
type port struct {
	ports.Binding
	Incarnation string
}

// lease is what a network's address pools remember.
type lease struct {
	IPv4 ipam.Lease `json:",omitzero"`
	IPv6 ipam.Lease `json:",omitzero"`
}

// settings is what belongs to no record of its own.
type settings struct {
	Base6     netip.Prefix      // where IPv6 subnets are cut from
	LastIndex uint32            // of the network made last
	LastPorts map[string]uint16 // by protocol: the host port chosen last
}

// mac is a link-layer address that reads well in JSON.
type mac net.HardwareAddr

func (m mac) String() string { return net.HardwareAddr(m).String() }

func (m mac) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m *mac) UnmarshalText(text []byte) error {
	parsed, err := net.ParseMAC(string(text))
	*m = mac(parsed)
	return err
}

func (n *network) hostBridge() string { return LinkPrefix + "-" + n.ID[:12] }

// hostName is the name of the endpoint's end in the host.
func (ep *endpoint) hostName() string { return LinkPrefix + "v" + ep.ID[:12] }

// on returns the container's endpoint on a network.
func (c *container) on(networkID string) *endpoint {
	for _, ep := range c.Endpoints {
		if ep.Network == networkID {
			return ep
		}
	}
	return nil
}

func (c *container) bindings() []ports.Binding {
	out := make([]ports.Binding, len(c.Ports))
	for i, p := range c.Ports {
		out[i] = p.Binding
	}
	return out
}
