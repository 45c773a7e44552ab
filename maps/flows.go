// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"

	"github.com/vethway/vethway/bpf"
)

// FlowKey is who sends what to whom, as the packet is before it is rewritten. An ICMP echo has its identifier as the
// port of the side that asked, and 0 as the other.
type FlowKey struct {
	Src, Dst netip.AddrPort
	Proto    uint8
}

// FlowKind says why there is a flow; Names.FlowKind spells it.
type FlowKind uint8

const (
	FlowPublished  = FlowKind(bpf.VethwayFlowKindFLOW_PUBLISHED)
	FlowMasquerade = FlowKind(bpf.VethwayFlowKindFLOW_MASQUERADE)
	FlowHairpin    = FlowKind(bpf.VethwayFlowKindFLOW_HAIRPIN)
	FlowRouted     = FlowKind(bpf.VethwayFlowKindFLOW_ROUTED)
	FlowHost       = FlowKind(bpf.VethwayFlowKindFLOW_HOST)
)

// FlowToUplink is the action of entries whose packets leave the host, FlowToPeer of those whose packets go into a container.
const (
	FlowToUplink = uint8(bpf.VethwayFlowActionFLOW_TO_UPLINK)
	FlowToPeer   = uint8(bpf.VethwayFlowActionFLOW_TO_PEER)
)

// FlowFlags are the FLOW_* bits of bpf/lib/layout.h.
type FlowFlags uint8

// The preprocessor's constants leave no trace in the object, so these are written twice; a test compares them.
const (
	FlowReply FlowFlags = 1 << iota
	FlowNATSource
	FlowFixedSource
	FlowByStack
	FlowPorts
	FlowOpens
	FlowRetired
)

// Names of the flags that are set.
func (f FlowFlags) Names() []string {
	return bitNames(uint32(f), "reply", "nat-source", "fixed-source", "by-stack", "ports", "opens", "retired")
}

// Bits of a TCP header's flags (RFC 9293 section 3.1).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
)

// Flow is one direction of a session.
type Flow struct {
	Src, Dst         netip.AddrPort // what the packet is rewritten to
	AddrDiff         uint32         // checksum difference of the rewritten addresses; IPv6 only
	Iif              uint32
	Slot, Generation uint32
	Way              uint32 // FlowToUplink: see WayOf, 0: to be looked up; FlowToPeer: ifindex of the veth's host end
	Kind             FlowKind
	Action           uint8
	Flags            FlowFlags
	TCPFlags         uint8
	Seen             uint32 // CLOCK_MONOTONIC seconds
	Packets          uint64 // 40 bits
	Bytes            uint64 // 56 bits
}

// Reverse is the key of the session's other entry: how the answer to a rewritten packet looks.
func (f Flow) Reverse(proto uint8) FlowKey { return FlowKey{Src: f.Dst, Dst: f.Src, Proto: proto} }

// CollectArgs is what vw_gc is run with: delete the pair unless one of its sides was seen since.
func CollectArgs(key, reverse FlowKey, seen, reverseSeen uint32) any {
	return &bpf.VethwayGcArgs{Key: toFlowKey(key), Reverse: toFlowKey(reverse), Seen: seen, ReverseSeen: reverseSeen}
}

// RetireArgs is what vw_gc is run with to end a session and let its port rest: the reply's entry stays, as FlowRetired.
func RetireArgs(key, reverse FlowKey, seen, reverseSeen uint32) any {
	return &bpf.VethwayGcArgs{Key: toFlowKey(key), Reverse: toFlowKey(reverse), Seen: seen, ReverseSeen: reverseSeen, Retire: 1}
}

// Age is how many seconds lie between two readings of the monotonic clock; a packet that came in between is no
// older than nothing.
func Age(now, seen uint32) uint32 {
	if age := now - seen; age <= 1<<31 {
		return age
	}
	return 0
}
