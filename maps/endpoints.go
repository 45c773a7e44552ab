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
	AlsoOn           uint32 // see AlsoOn
}

// AlsoOn is how an endpoint remembers the other networks of its container: as bits, their numbers modulo 32.
func AlsoOn(networks []uint32) (bits uint32) {
	for _, n := range networks {
		bits |= 1 << (n % 32)
	}
	return bits
}

func endpointsWire() wire[netip.Addr, Endpoint] {
	return codec[netip.Addr, Endpoint, bpf.VethwayAddr, bpf.VethwayEndpointValue]{
		key: toAddr, unkey: fromAddr,
		value: func(v Endpoint) bpf.VethwayEndpointValue {
			return bpf.VethwayEndpointValue{
				Ifindex: v.Index, Slot: v.Slot, Generation: v.Generation, Network: v.Network, Mtu: v.MTU,
				Mac: v.MAC, BridgeMac: v.BridgeMAC, AlsoOn: v.AlsoOn,
			}
		},
		unvalue: func(v bpf.VethwayEndpointValue) Endpoint {
			return Endpoint{
				Index: v.Ifindex, Slot: v.Slot, Generation: v.Generation, Network: v.Network, MTU: v.Mtu,
				MAC: v.Mac, BridgeMAC: v.BridgeMac, AlsoOn: v.AlsoOn,
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
