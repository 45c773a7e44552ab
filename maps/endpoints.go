// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"

	"github.com/vethway/vethway/bpf"
)

// Endpoints says for each address of a container where it is.
type Endpoints = Table[netip.Addr, Endpoint]

// Endpoint is where an address of a container is.
type Endpoint struct {
	Index            uint32 // ifindex of the veth's host end
	Slot, Generation uint32
	Network, MTU     uint16
	MAC, BridgeMAC   MAC
	Flags            uint32
}

func endpointsWire() wire[netip.Addr, Endpoint] {
	return codec[netip.Addr, Endpoint, bpf.VethwayAddr, bpf.VethwayEndpointValue]{
		key: toAddr, unkey: fromAddr,
		value: func(v Endpoint) bpf.VethwayEndpointValue {
			return bpf.VethwayEndpointValue{
				Ifindex: v.Index, Slot: v.Slot, Generation: v.Generation, Network: v.Network, Mtu: v.MTU,
				Mac: v.MAC, BridgeMac: v.BridgeMAC, Flags: v.Flags,
			}
		},
		unvalue: func(v bpf.VethwayEndpointValue) Endpoint {
			return Endpoint{
				Index: v.Ifindex, Slot: v.Slot, Generation: v.Generation, Network: v.Network, MTU: v.Mtu,
				MAC: v.Mac, BridgeMAC: v.BridgeMac, Flags: v.Flags,
			}
		},
	}
}

func endpointRow(k netip.Addr, v Endpoint) Row {
	return Row{
		{"addr", k},
		{"ifindex", v.Index},
		{"network", v.Network},
		{"mac", v.MAC},
		{"bridge_mac", v.BridgeMAC},
		{"mtu", v.MTU},
		{"slot", v.Slot},
		{"generation", v.Generation},
	}
}
