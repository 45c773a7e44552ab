// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"

	"github.com/vethway/vethway/bpf"
)

// Uplinks holds the interfaces that lead out of the host, by ifindex.
type Uplinks = Table[uint32, Uplink]

// Uplink is an interface that leads out of the host.
type Uplink struct {
	Addr4, Addr6 netip.Addr // preferred source where the kernel cannot name the route's; invalid: none
	Flags        uint32
	MTU          uint32
}

func uplinksWire() wire[uint32, Uplink] {
	return codec[uint32, Uplink, uint32, bpf.VethwayUplinkValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Uplink) bpf.VethwayUplinkValue {
			return bpf.VethwayUplinkValue{Addr4: toAddr(v.Addr4), Addr6: toAddr(v.Addr6), Flags: v.Flags, Mtu: v.MTU}
		},
		unvalue: func(v bpf.VethwayUplinkValue) Uplink {
			return Uplink{Addr4: fromOptional(v.Addr4), Addr6: fromOptional(v.Addr6), Flags: v.Flags, MTU: v.Mtu}
		},
	}
}

func uplinkRow(k uint32, v Uplink) Row {
	return Row{
		{"ifindex", k},
		{"addr4", optional(v.Addr4)},
		{"addr6", optional(v.Addr6)},
		{"mtu", v.MTU},
	}
}
