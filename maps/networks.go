// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"

	"github.com/vethway/vethway/bpf"
)

// Networks holds the networks by their number.
type Networks = Table[uint32, Network]

// Network is what the programs know of a network.
type Network struct {
	Gateway4, Gateway6 netip.Addr // invalid: none
	SNAT4, SNAT6       netip.Addr // invalid: the egress route's preferred source
	Bridge             uint32     // ifindex
	Flags              NetworkFlags
	MTU                uint16
	BridgeMAC          MAC
}

// NetworkFlags are the NETWORK_* bits of bpf/lib/layout.h.
type NetworkFlags uint32

// The preprocessor's constants leave no trace in the object, so these are written twice; a test compares them.
const (
	NetworkInternal NetworkFlags = 1 << iota
	NetworkNoICC
	NetworkMasquerade4
	NetworkMasquerade6
	NetworkAnyRemote
)

// Names of the flags that are set.
func (f NetworkFlags) Names() []string {
	return bitNames(uint32(f), "internal", "no-icc", "masquerade4", "masquerade6", "any-remote")
}

func networksWire() wire[uint32, Network] {
	return codec[uint32, Network, uint32, bpf.VethwayNetworkValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Network) bpf.VethwayNetworkValue {
			return bpf.VethwayNetworkValue{
				Gateway4: toAddr(v.Gateway4), Gateway6: toAddr(v.Gateway6), Snat4: toAddr(v.SNAT4), Snat6: toAddr(v.SNAT6),
				Bridge: v.Bridge, Flags: uint32(v.Flags), Mtu: v.MTU, BridgeMac: v.BridgeMAC,
			}
		},
		unvalue: func(v bpf.VethwayNetworkValue) Network {
			return Network{
				Gateway4: fromOptional(v.Gateway4), Gateway6: fromOptional(v.Gateway6),
				SNAT4: fromOptional(v.Snat4), SNAT6: fromOptional(v.Snat6),
				Bridge: v.Bridge, Flags: NetworkFlags(v.Flags), MTU: v.Mtu, BridgeMAC: v.BridgeMac,
			}
		},
	}
}

func networkRow(k uint32, v Network) Row {
	return Row{
		{"network", k},
		{"bridge", v.Bridge},
		{"bridge_mac", v.BridgeMAC},
		{"gateway4", optional(v.Gateway4)},
		{"gateway6", optional(v.Gateway6)},
		{"snat4", optional(v.SNAT4)},
		{"snat6", optional(v.SNAT6)},
		{"mtu", v.MTU},
		{"flags", v.Flags.Names()},
	}
}
