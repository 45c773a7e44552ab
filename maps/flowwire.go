// SPDX-License-Identifier: Apache-2.0

package maps

import "github.com/vethway/vethway/bpf"

// toFlowKey writes a key as the programs pass it on, whatever its family: IPv4 addresses as ::ffff:a.b.c.d.
func toFlowKey(k FlowKey) bpf.VethwayFlowKey {
	return bpf.VethwayFlowKey{
		Src: toAddr(k.Src.Addr()), Dst: toAddr(k.Dst.Addr()), Sport: toPort(k.Src.Port()), Dport: toPort(k.Dst.Port()),
		Proto: k.Proto,
	}
}

func fromFlowKey(k bpf.VethwayFlowKey) FlowKey {
	return FlowKey{Src: fromAddrPort(k.Src, k.Sport), Dst: fromAddrPort(k.Dst, k.Dport), Proto: k.Proto}
}

func toFlow4Key(k FlowKey) bpf.VethwayFlow4Key {
	return bpf.VethwayFlow4Key{
		Src: toAddr4(k.Src.Addr()), Dst: toAddr4(k.Dst.Addr()), Sport: toPort(k.Src.Port()), Dport: toPort(k.Dst.Port()),
		Proto: k.Proto,
	}
}

func fromFlow4Key(k bpf.VethwayFlow4Key) FlowKey {
	return FlowKey{Src: fromAddrPort4(k.Src, k.Sport), Dst: fromAddrPort4(k.Dst, k.Dport), Proto: k.Proto}
}

// flowCarry is FLOW_CARRY of bpf/lib/layout.h: so many upper bits of an entry's bytes continue its packets.
const flowCarry = 8

const flowBytes = 64 - flowCarry

func toCounts(packets, bytes uint64) (uint32, uint64) {
	return uint32(packets), packets>>32<<flowBytes | bytes&(1<<flowBytes-1)
}

func fromCounts(packets uint32, bytes uint64) (uint64, uint64) {
	return bytes>>flowBytes<<32 | uint64(packets), bytes & (1<<flowBytes - 1)
}

func toFlow4(v Flow) bpf.VethwayFlow4Value {
	packets, bytes := toCounts(v.Packets, v.Bytes)
	return bpf.VethwayFlow4Value{
		Slot: v.Slot, Generation: v.Generation, N_sport: toPort(v.Src.Port()), N_dport: toPort(v.Dst.Port()),
		Kind: bpf.VethwayFlowKind(v.Kind), Action: bpf.VethwayFlowAction(v.Action), Flags: uint8(v.Flags), TcpFlags: v.TCPFlags,
		Seen: v.Seen, Iif: v.Iif, Way: v.Way, Packets: packets, Bytes: bytes,
		N_src: toAddr4(v.Src.Addr()), N_dst: toAddr4(v.Dst.Addr()),
	}
}

func fromFlow4(v bpf.VethwayFlow4Value) Flow {
	packets, bytes := fromCounts(v.Packets, v.Bytes)
	return Flow{
		Src: fromAddrPort4(v.N_src, v.N_sport), Dst: fromAddrPort4(v.N_dst, v.N_dport), Iif: v.Iif,
		Slot: v.Slot, Generation: v.Generation, Way: v.Way,
		Kind: FlowKind(v.Kind), Action: uint8(v.Action), Flags: FlowFlags(v.Flags), TCPFlags: v.TcpFlags,
		Seen: v.Seen, Packets: packets, Bytes: bytes,
	}
}

func toFlow6(v Flow) bpf.VethwayFlow6Value {
	packets, bytes := toCounts(v.Packets, v.Bytes)
	return bpf.VethwayFlow6Value{
		Slot: v.Slot, Generation: v.Generation, N_sport: toPort(v.Src.Port()), N_dport: toPort(v.Dst.Port()),
		Kind: bpf.VethwayFlowKind(v.Kind), Action: bpf.VethwayFlowAction(v.Action), Flags: uint8(v.Flags), TcpFlags: v.TCPFlags,
		Seen: v.Seen, Iif: v.Iif, Way: v.Way, Packets: packets, Bytes: bytes,
		N_src: toAddr(v.Src.Addr()), N_dst: toAddr(v.Dst.Addr()), AddrDiff: v.AddrDiff,
	}
}

func fromFlow6(v bpf.VethwayFlow6Value) Flow {
	packets, bytes := fromCounts(v.Packets, v.Bytes)
	return Flow{
		Src: fromAddrPort(v.N_src, v.N_sport), Dst: fromAddrPort(v.N_dst, v.N_dport), AddrDiff: v.AddrDiff, Iif: v.Iif,
		Slot: v.Slot, Generation: v.Generation, Way: v.Way,
		Kind: FlowKind(v.Kind), Action: uint8(v.Action), Flags: FlowFlags(v.Flags), TCPFlags: v.TcpFlags,
		Seen: v.Seen, Packets: packets, Bytes: bytes,
	}
}

func flows4Wire() wire[FlowKey, Flow] {
	return codec[FlowKey, Flow, bpf.VethwayFlow4Key, bpf.VethwayFlow4Value]{
		key: toFlow4Key, unkey: fromFlow4Key, value: toFlow4, unvalue: fromFlow4,
	}
}

func flows6Wire() wire[FlowKey, Flow] {
	return codec[FlowKey, Flow, bpf.VethwayFlowKey, bpf.VethwayFlow6Value]{
		key: toFlowKey, unkey: fromFlowKey, value: toFlow6, unvalue: fromFlow6,
	}
}
