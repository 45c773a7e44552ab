// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"

	"github.com/vethway/vethway/bpf"
)

// Veths says for the ifindex of each veth's host end who is behind it.
type Veths = Table[uint32, Veth]

// Veth is the container behind a veth: what it may send from.
type Veth struct {
	Addr4, Addr6     netip.Addr // invalid: none
	Slot, Generation uint32
	Bridge           uint32 // ifindex
	Network, MTU     uint16
	MAC, BridgeMAC   MAC
	Flags            NetworkFlags
}

func vethsWire() wire[uint32, Veth] {
	return codec[uint32, Veth, uint32, bpf.VethwayVethValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Veth) bpf.VethwayVethValue {
			return bpf.VethwayVethValue{
				Addr4: toAddr(v.Addr4), Addr6: toAddr(v.Addr6), Slot: v.Slot, Generation: v.Generation,
				Bridge: v.Bridge, Network: v.Network, Mtu: v.MTU, Mac: v.MAC, BridgeMac: v.BridgeMAC, Flags: uint32(v.Flags),
			}
		},
		unvalue: func(v bpf.VethwayVethValue) Veth {
			return Veth{
				Addr4: fromOptional(v.Addr4), Addr6: fromOptional(v.Addr6), Slot: v.Slot, Generation: v.Generation,
				Bridge: v.Bridge, Network: v.Network, MTU: v.Mtu, MAC: v.Mac, BridgeMAC: v.BridgeMac, Flags: NetworkFlags(v.Flags),
			}
		},
	}
}

func same[T any](v T) T { return v }

func vethRow(k uint32, v Veth) Row {
	return Row{
		{"ifindex", k},
		{"addr4", optional(v.Addr4)},
		{"addr6", optional(v.Addr6)},
		{"mac", v.MAC},
		{"network", v.Network},
		{"bridge", v.Bridge},
		{"bridge_mac", v.BridgeMAC},
		{"mtu", v.MTU},
		{"flags", v.Flags.Names()},
		{"slot", v.Slot},
		{"generation", v.Generation},
	}
}
