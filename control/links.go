// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

var (
	// ErrNamespaceGone is what a call of Links fails with when the container's namespace no longer exists, or another
	// one took its path.
	ErrNamespaceGone = errors.New("network namespace is gone")
	// ErrHostNamespace is what OpenNamespace fails with when it is given the host's own.
	ErrHostNamespace = errors.New("that is the host's own network namespace")
)

// Links is what the engine needs of the kernel's links, addresses and routes. It is implemented by control/link.
// Every Ensure call is idempotent and repairs what differs; all work is done in the host's network namespace unless
// a container's is named. Names of interfaces of ours begin with LinkPrefix, and only such interfaces are ever changed.
type Links interface {
	// EnsureBridge creates or repairs a network's bridge: addresses, MTU, MAC, state up, forwarding on for this
	// bridge alone.
	EnsureBridge(ctx context.Context, b BridgeSpec) (BridgeInfo, error)
	// EnsureEndpoint creates or repairs a veth pair: the container's end is moved into the container's namespace,
	// named, given MAC, MTU, addresses; the host's end is a port of the bridge, with a static FDB entry and permanent neighbours
	// on the bridge. A new host end is left down: no packet passes before the programs are attached.
	EnsureEndpoint(ctx context.Context, e EndpointSpec) (EndpointInfo, error)
	// ActivateEndpoint brings the host's end up, sets routes in the container, and announces the addresses
	// (gratuitous ARP, RFC 5227 section 3; unsolicited neighbour advertisement, RFC 9131).
	ActivateEndpoint(ctx context.Context, e EndpointSpec) error
	// SetDefaultRoutes replaces the container's default routes; an invalid gateway removes the family's.
	SetDefaultRoutes(ctx context.Context, ns NamespaceRef, r DefaultRoutes) error
	// RemoveEndpoint and RemoveBridge remove what Ensure made; what is already gone is no error.
	RemoveEndpoint(ctx context.Context, e EndpointSpec) error
	RemoveBridge(ctx context.Context, name string) error
	// EnsureDetour creates or repairs the way to a namespace where fragments are put in order: see DetourInfo. RemoveDetour removes it.
	EnsureDetour(ctx context.Context) (DetourInfo, error)
	RemoveDetour(ctx context.Context) error
	// EnsureCutter creates or repairs the way to a namespace where datagrams are cut up: see CutterInfo. It takes next to nothing, and stays.
	EnsureCutter(ctx context.Context, cuts []Cut) (CutterInfo, error)
	// Owned lists the interfaces of the host namespace that are ours by name.
	Owned(ctx context.Context) ([]string, error)
	// Host reports what the engine does not own: uplinks, local prefixes, routes in use, bound ports.
	Host(ctx context.Context) (HostFacts, error)
	// HostPorts brings what Host says of ports up to date, and nothing else: that takes less than a listing of all links.
	HostPorts(ctx context.Context, facts *HostFacts) error
	// Watch sends on the returned channel (never blocking, capacity one) after a link, address or route of the host changed, until ctx
	// ends. Changes are reported again from the start when the netlink socket overran.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// PortOwner names the process of the host namespace that has the port bound, if any.
	PortOwner(ctx context.Context, proto uint8, addr netip.Addr, port uint16) (PortOwner, bool, error)
	// OpenNamespace resolves a path, pid or name to a namespace and pins down its identity.
	OpenNamespace(ctx context.Context, ref string) (NamespaceRef, error)
}

// LinkPrefix begins the name of every network interface that vethway makes in the host's namespace: vw-<12 hex digits
// of the network's ID> for a bridge, vwv<12 hex digits of the endpoint's ID> for a veth's host end.
const LinkPrefix = "vw"

// DetourLink is the host's end of the way to where fragments are put in order.
const DetourLink = LinkPrefix + "f0"

// DetourInfo describes the detour for fragments. The programs send what comes out of order out at the interface, to the far end's MAC; the
// namespace behind it puts datagrams together, if it is asked to, and sends them back, in order.
type DetourInfo struct {
	Index     int // of DetourLink; 0: there is no detour
	MAC       net.HardwareAddr
	Namespace NamespaceRef
}

// CutterLink is the host's end of the way to where datagrams are cut up.
const CutterLink = LinkPrefix + "f1"

// Cut says how large an IPv4 packet to a subnet may be.
type Cut struct {
	Subnet netip.Prefix
	MTU    int
}

// CutterInfo describes where IPv4 datagrams without DF are cut up that are too big for a container's network. The programs send them, translated,
// out at the interface, to the far end's MAC; the namespace behind it sends them back in fragments, whether the host itself forwards or not.
type CutterInfo struct {
	Index int // of CutterLink; 0: there is none
	MAC   net.HardwareAddr
}

// NamespaceRef names a network namespace.
type NamespaceRef struct {
	Path   string // bind mount or /proc/PID/ns/net
	Cookie uint64 // SO_NETNS_COOKIE: never used again while the machine runs; tells a namespace from its successor under the same path
}

// BridgeSpec is the desired state of a network's bridge.
type BridgeSpec struct {
	Name  string
	MAC   net.HardwareAddr
	MTU   int
	Addrs []netip.Prefix // gateway address with the subnet's length; none on an isolated network
	IPv6  bool
	// Send is for what the host sends by the bridge.
	Send PacketSize
}

// BridgeInfo is what the kernel made of a BridgeSpec.
type BridgeInfo struct {
	Index int
	MAC   net.HardwareAddr
}

// EndpointSpec is the desired state of one veth pair.
type EndpointSpec struct {
	HostName  string // of the host end
	Bridge    string
	Namespace NamespaceRef
	// ContainerName is the interface's name inside the container; empty: the first free eth<n>, and EndpointInfo
	// says which.
	ContainerName string
	MAC           net.HardwareAddr
	MTU           int
	Addrs         []netip.Prefix
	IPv6          bool // false: IPv6 is switched off on the container's interface
	// Send is for what the container sends, Receive for what it is sent, which holds for the bridge as well.
	Send, Receive PacketSize
}

// EndpointInfo is what the kernel made of an EndpointSpec.
type EndpointInfo struct {
	HostIndex     int
	NamespaceID   int // by which the host's network namespace knows the container's; negative: none
	ContainerName string
}

// DefaultRoutes of a container: the gateway and the interface it is reached by, for each family on its own.
type DefaultRoutes struct {
	Gateway4, Gateway6     netip.Addr
	Interface4, Interface6 string
}

// HostFacts is the part of the host's network that is not ours.
type HostFacts struct {
	Uplinks []UplinkFacts
	// Addrs are the addresses of all interfaces that are not ours, link-local ones left out.
	Addrs []HostAddr
	// Locals are all prefixes with a route of type local, in whatever table; those of our own bridges included.
	Locals []netip.Prefix
	// Routes are the destinations of the host's other routes: a new network's subnet must not overlap one.
	Routes []netip.Prefix
	// Routing is a digest of routes and policy rules that are not ours: as long as it is the same, so are all next hops.
	Routing uint64
	// PortRange is net.ipv4.ip_local_port_range, and ReservedPorts net.ipv4.ip_local_reserved_ports.
	PortRange     [2]uint16
	ReservedPorts []PortSpan
	// RoutesBig6: the kernel can route IPv6 packets beyond 64 KiB.
	RoutesBig6 bool
	// Bound are the ports that sockets of the host are bound to.
	Bound []HostPort
}

// UplinkFacts describes an interface that is neither ours nor loopback nor a port of a foreign bridge.
type UplinkFacts struct {
	Name     string
	Index    int
	Ethernet bool
	MTU      int
	Addrs    []netip.Addr
	// PacketSize is what the interface takes; larger ones are cut up before it sees them.
	PacketSize PacketSize
	// Driver is that of a device; empty for what the kernel itself makes (veths, tunnels, bonds).
	Driver string
}

// HostAddr is an address of the host's, with the prefix that the interface is connected to.
type HostAddr struct {
	Prefix    netip.Prefix // the address, and the subnet's length
	Interface string
}

// PortSpan is an inclusive range of ports.
type PortSpan struct{ First, Last uint16 }

// PortOwner is who has a port bound.
type PortOwner struct {
	PID     int
	Command string
	Addr    netip.AddrPort
}
