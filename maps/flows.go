// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/bpf"
)

// Flows is the flow table: two entries a session, one for each direction.
type Flows = Table[FlowKey, Flow]

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

// FlowToUplink is the action of entries whose packets leave the host.
const FlowToUplink = uint8(bpf.VethwayFlowActionFLOW_TO_UPLINK)

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
	Src, Dst           netip.AddrPort // what the packet is rewritten to
	AddrDiff, PortDiff uint32
	Iif, Oif           uint32
	Slot, Generation   uint32
	RouteGeneration    uint32
	NextHop            netip.Addr // invalid: none
	DMAC, SMAC         MAC
	NextHopSeen        uint32 // CLOCK_MONOTONIC seconds when both were on a packet to the next hop; 0: never
	MTU, Network       uint16
	Kind               FlowKind
	Action             uint8
	Flags              FlowFlags
	TCPFlags           uint8
	Seen               uint32 // CLOCK_MONOTONIC seconds
	Owner              uint32 // slot of the endpoint whose quota it counts against; 0: none
	Packets, Bytes     uint64
}

// Reverse is the key of the session's other entry: how the answer to a rewritten packet looks.
func (f Flow) Reverse(proto uint8) FlowKey { return FlowKey{Src: f.Dst, Dst: f.Src, Proto: proto} }

func toFlowKey(k FlowKey) bpf.VethwayFlowKey {
	return bpf.VethwayFlowKey{
		Src: toAddr(k.Src.Addr()), Dst: toAddr(k.Dst.Addr()), Sport: toPort(k.Src.Port()), Dport: toPort(k.Dst.Port()),
		Proto: k.Proto,
	}
}

func fromFlowKey(k bpf.VethwayFlowKey) FlowKey {
	return FlowKey{Src: fromAddrPort(k.Src, k.Sport), Dst: fromAddrPort(k.Dst, k.Dport), Proto: k.Proto}
}

func toFlow(v Flow) bpf.VethwayFlowValue {
	return bpf.VethwayFlowValue{
		N_src: toAddr(v.Src.Addr()), N_dst: toAddr(v.Dst.Addr()),
		N_sport: toPort(v.Src.Port()), N_dport: toPort(v.Dst.Port()),
		AddrDiff: v.AddrDiff, PortDiff: v.PortDiff, Iif: v.Iif, Oif: v.Oif,
		Slot: v.Slot, Generation: v.Generation, RouteGeneration: v.RouteGeneration,
		NextHop: toAddr(v.NextHop), Dmac: v.DMAC, Smac: v.SMAC, Mtu: v.MTU, Network: v.Network,
		Kind: bpf.VethwayFlowKind(v.Kind), Action: bpf.VethwayFlowAction(v.Action), Flags: uint8(v.Flags), TcpFlags: v.TCPFlags,
		Seen: v.Seen, Owner: v.Owner, NextHopSeen: v.NextHopSeen, Packets: v.Packets, Bytes: v.Bytes,
	}
}

func fromFlow(v bpf.VethwayFlowValue) Flow {
	return Flow{
		Src: fromAddrPort(v.N_src, v.N_sport), Dst: fromAddrPort(v.N_dst, v.N_dport),
		AddrDiff: v.AddrDiff, PortDiff: v.PortDiff, Iif: v.Iif, Oif: v.Oif,
		Slot: v.Slot, Generation: v.Generation, RouteGeneration: v.RouteGeneration,
		NextHop: fromOptional(v.NextHop), DMAC: v.Dmac, SMAC: v.Smac, MTU: v.Mtu, Network: v.Network,
		Kind: FlowKind(v.Kind), Action: uint8(v.Action), Flags: FlowFlags(v.Flags), TCPFlags: v.TcpFlags,
		Seen: v.Seen, Owner: v.Owner, NextHopSeen: v.NextHopSeen, Packets: v.Packets, Bytes: v.Bytes,
	}
}

func flowsWire() wire[FlowKey, Flow] {
	return codec[FlowKey, Flow, bpf.VethwayFlowKey, bpf.VethwayFlowValue]{
		key: toFlowKey, unkey: fromFlowKey, value: toFlow, unvalue: fromFlow,
	}
}

// CollectArgs is what vw_gc is run with: delete the pair unless one of its sides was seen since.
func CollectArgs(key, reverse FlowKey, seen, reverseSeen uint32) any {
	return &bpf.VethwayGcArgs{Key: toFlowKey(key), Reverse: toFlowKey(reverse), Seen: seen, ReverseSeen: reverseSeen}
}

// RetireArgs is what vw_gc is run with to end a session and let its port rest: the reply's entry stays, as FlowRetired.
func RetireArgs(key, reverse FlowKey, seen, reverseSeen uint32) any {
	return &bpf.VethwayGcArgs{Key: toFlowKey(key), Reverse: toFlowKey(reverse), Seen: seen, ReverseSeen: reverseSeen, Retire: 1}
}

func (n Names) flowRow(now uint32) func(FlowKey, Flow) Row {
	return func(k FlowKey, v Flow) Row {
		row := Row{
			{"proto", ProtocolName(k.Proto)},
			{"src", k.Src},
			{"dst", k.Dst},
			{"new_src", v.Src},
			{"new_dst", v.Dst},
			{"kind", n.FlowKind(v.Kind)},
			{"action", n.flowAction(v.Action)},
			{"flags", v.Flags.Names()},
			{"tcp_flags", bitNames(uint32(v.TCPFlags), "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")},
			{"network", v.Network},
			{"iif", v.Iif},
			{"oif", v.Oif},
			{"next_hop", optional(v.NextHop)},
			{"dmac", v.DMAC},
			{"smac", v.SMAC},
			{"mtu", v.MTU},
			{"slot", v.Slot},
			{"generation", v.Generation},
			{"route_generation", v.RouteGeneration},
			{"idle_seconds", Age(now, v.Seen)},
			{"packets", v.Packets},
			{"bytes", v.Bytes},
		}
		return row
	}
}

// Age is how many seconds lie between two readings of the monotonic clock; a packet that came in between is no
// older than nothing.
func Age(now, seen uint32) uint32 {
	if age := now - seen; age <= 1<<31 {
		return age
	}
	return 0
}

// parseFlowKey reads PROTOCOL SOURCE DESTINATION, each address with its port.
func parseFlowKey(s string) (FlowKey, error) {
	f := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	if len(f) != 3 {
		return FlowKey{}, fmt.Errorf("%q: want PROTOCOL SOURCE:PORT DESTINATION:PORT", s)
	}
	proto, err := parseProtocol(f[0])
	if err != nil {
		return FlowKey{}, err
	}
	src, err := netip.ParseAddrPort(f[1])
	if err != nil {
		return FlowKey{}, fmt.Errorf("source %q: want ADDRESS:PORT", f[1])
	}
	dst, err := netip.ParseAddrPort(f[2])
	if err != nil {
		return FlowKey{}, fmt.Errorf("destination %q: want ADDRESS:PORT", f[2])
	}
	return FlowKey{Src: src, Dst: dst, Proto: proto}, nil
}
