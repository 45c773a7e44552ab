// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Dataplane is what the engine needs of the packet programs: one desired state goes in, and the implementation finds
// out what differs from the kernel's and changes that. It is implemented by control/dataplane on top of maps and loader.
type Dataplane interface {
	// Sync makes the programs and maps hold exactly want: entries are added before others are removed, flows of
	// whatever was removed are stale at once, programs are attached to every interface named in want and detached
	// from every other. It is idempotent; after an error the next Sync continues where it stopped. What want holds is kept, to be
	// compared with what comes next: it is not to be changed afterwards.
	Sync(ctx context.Context, want *DataplaneState) error
	// Collect deletes flows that have been idle for longer than their timeout and reports how many went.
	Collect(ctx context.Context) (int, error)
	// Flush deletes all flows that match, and reports how many flows (not entries) went.
	Flush(ctx context.Context, match func(Flow) bool) (int, error)
	// Flows calls yield for every flow until it returns false.
	Flows(ctx context.Context, yield func(Flow) bool) error
	// FlowStats counts what endpoints have used up of what they may, and what of each external address is taken.
	FlowStats(ctx context.Context) (FlowStats, error)
	// Events calls yield for what the packet programs report, until ctx ends; what they reported before waits for the
	// first call. There is one caller at a time.
	Events(ctx context.Context, yield func(Event)) error
	// Drops returns the drop counters that are not zero, summed over CPUs.
	Drops(ctx context.Context) ([]DropCount, error)
}

// DataplaneState is everything that the packet programs know of the host. Addresses are plain (never v4-mapped).
type DataplaneState struct {
	Networks  []DataplaneNetwork
	Endpoints []DataplaneEndpoint
	// Published are lists of ports, in any order. A list never changes: one that was told before, and is the same slice, is the same.
	Published [][]DataplanePort
	Uplinks   []DataplaneUplink
	// Locals are the prefixes that the host's local routing table delivers to the host itself (type RTN_LOCAL).
	Locals []netip.Prefix
	// Routing is a digest of the host's routes and policy rules: when it changes, flows look for their next hop again.
	Routing uint64
	// HostPorts are ports inside the NAT pool that sockets of the host are bound to.
	HostPorts []HostPort
	// Detour is the way to where fragments are put in order; the zero value: there is none.
	Detour DetourInfo
	// Cutter is the way to where datagrams are cut up; the zero value: there is none.
	Cutter CutterInfo
	// BindTCP gives TCP one external port for each internal one, too, whatever the destination.
	BindTCP bool
	// MaxFlows is how many flows a container may have begun at a time, MaxFlowRate how many it may begin in a second;
	// 0: any number.
	MaxFlows, MaxFlowRate uint32
	// Timeouts of flows of networks that have none of their own; the zero value stands for DefaultTimeouts.
	Timeouts Timeouts
	// Denied are prefixes from which nothing comes in. ClosedPorts, SourceRate and SourceBurst are as in Guard.
	Denied                  []netip.Prefix
	ClosedPorts             PortSpan
	SourceRate, SourceBurst uint32
}

// DataplaneNetwork is a network as the packet programs see it.
type DataplaneNetwork struct {
	ID           uint32 // 1..65535, stable for the life of the network
	BridgeIndex  int
	BridgeMAC    net.HardwareAddr
	Subnets      []netip.Prefix // at most one a family
	Gateways     []netip.Addr   // the bridge's own addresses, at most one a family; none when the bridge has no address
	MTU          int
	Internal     bool
	NoICC        bool // containers of the network may not talk to each other directly
	Masquerade4  bool
	Masquerade6  bool
	SNAT4, SNAT6 netip.Addr // fixed source address instead of the egress route's; invalid: masquerade
	// AnyRemote lets in whoever sends to a container's mapping, not only whom the container has sent to.
	AnyRemote bool
	Timeouts  *Timeouts // nil: DataplaneState's
	// Splice has TCP connections between processes of this host carried without packets; with SplicePorts, those of which one end has
	// one of these ports.
	Splice      bool
	SplicePorts []uint16
}

// DataplaneEndpoint is one container's attachment to one network.
type DataplaneEndpoint struct {
	Network   uint32
	HostIndex int // ifindex of the host end of the veth
	// NamespaceID is the number by which the host's network namespace knows the container's; negative: it has none.
	NamespaceID int
	MAC         net.HardwareAddr
	Addrs       []netip.Addr // at most one a family
	AlsoOn      []uint32     // the container's other networks
	// Incarnation changes whenever the endpoint is a new one: flows of another incarnation are stale.
	Incarnation string
}

// DataplanePort is a published port: what arrives for HostIP:HostPort goes to Target. Those that follow it go to the ports
// that follow the target's.
type DataplanePort struct {
	HostIP   netip.Addr // unspecified (0.0.0.0 or ::) for every address of that family
	HostPort uint16
	More     uint16         // how many ports follow
	Proto    uint8          // IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP
	Target   netip.AddrPort // the container's; an IPv4 target of an IPv6 HostIP is served to processes of the host only
	// Incarnation as in DataplaneEndpoint.
	Incarnation string
}

// DataplaneUplink is an interface that leads out of the host.
type DataplaneUplink struct {
	Index    int
	Ethernet bool // false: no link-layer header (tun, wireguard)
	XDP      XDPMode
	MTU      int
	Addrs    []netip.Addr // preferred first; used where the kernel cannot name a route's preferred source
}

// XDPMode says how an uplink runs XDP, while there is something to drop there.
type XDPMode int

const (
	XDPNone    XDPMode = iota
	XDPNative          // in the driver; where that refuses: not at all
	XDPGeneric         // behind the driver
)

// HostPort is a port a socket of the host is bound to.
type HostPort struct {
	Proto uint8
	Port  uint16
}

// KindSpliced is a connection that is carried without packets, and so is no session of the flow table: it ends when its sockets are closed, and
// its counters are of messages.
const KindSpliced = "spliced"

// Flow is one NAT session: a pair of entries in the flow table.
type Flow struct {
	Proto            string // tcp, udp, icmp, ipv6-icmp
	Kind             string // published, masquerade, hairpin, routed, host; KindSpliced
	Original         Tuple  // as the initiator sends
	Reply            Tuple  // as the answering side sends
	State            string
	Network          uint32
	Packets, Bytes   uint64        // in the original direction
	RPackets, RBytes uint64        // in the reply direction
	Idle             time.Duration // since the last packet that keeps it
	Timeout          time.Duration
	Stale            bool
}

// Tuple is a packet's addresses and ports; an ICMP echo has its identifier as source port.
type Tuple struct{ Src, Dst netip.AddrPort }

// Event tells that a container was refused a flow; one a second of each container.
type Event struct {
	Age      time.Duration
	Reason   string // as in DropCount
	Proto    string
	Src, Dst netip.AddrPort
	Refused  uint64 // flows, since the container was attached
}

// DropCount is one drop counter.
type DropCount struct {
	Hook, Reason string
	Packets      uint64
	Bytes        uint64
}
