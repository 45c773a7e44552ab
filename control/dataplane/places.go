// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// places is what the last Sync said of addresses: an entry of the flow tables says neither its network nor whose quota it counts against,
// since its addresses do. It is never changed.
type places struct {
	subnets   map[netip.Prefix]uint16
	lengths   [2][]int // of IPv4 and IPv6: how long the prefixes of subnets are, the longest first
	endpoints map[netip.Addr]maps.Endpoint
}

func placesOf(want *control.DataplaneState) places {
	p := places{subnets: make(map[netip.Prefix]uint16)}
	for _, n := range want.Networks {
		for _, subnet := range n.Subnets {
			p.subnets[subnet.Masked()] = uint16(n.ID)
			if lengths := &p.lengths[familyOf(subnet.Addr())]; !slices.Contains(*lengths, subnet.Bits()) {
				*lengths = append(*lengths, subnet.Bits())
			}
		}
	}
	for _, lengths := range p.lengths {
		slices.SortFunc(lengths, func(a, b int) int { return cmp.Compare(b, a) })
	}
	return p
}

// familyOf is an index: 0 for IPv4, 1 for IPv6.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// networkAt is the network with the longest prefix that covers an address; 0: none. The container may be gone; its network is asked for
// all the same.
func (p *places) networkAt(a netip.Addr) uint16 {
	for _, bits := range p.lengths[familyOf(a)] {
		// The length is one of its family's: there is no error.
		prefix, _ := a.Prefix(bits)
		if id, ok := p.subnets[prefix]; ok {
			return id
		}
	}
	return 0
}

// network is that of the container that an entry's packets come from or go to, the target's for a hairpin; 0: they are the host's own.
func (p *places) network(key *maps.FlowKey, f *maps.Flow) uint16 {
	isReply := f.Flags&maps.FlowReply != 0
	sends := false
	switch f.Kind {
	case maps.FlowPublished, maps.FlowHairpin:
		sends = isReply
	case maps.FlowMasquerade:
		sends = outbound(f)
	case maps.FlowRouted:
		sends = !isReply
	default:
		return 0
	}
	if sends {
		return p.networkAt(key.Src.Addr())
	}
	return p.networkAt(f.Dst.Addr())
}

// owner is the slot of the endpoint whose quota a session counts against; 0: none, as in the entry of the reply. A hairpin hangs on the
// port that it reaches: whose it is, its sender's address tells, as long as that is still where it was.
func (p *places) owner(key *maps.FlowKey, f *maps.Flow) uint32 {
	switch {
	case f.Flags&maps.FlowReply != 0 || f.Iif == 0:
		return 0
	case f.Kind != maps.FlowHairpin:
		return f.Slot
	}
	if e := p.endpoints[key.Src.Addr()]; e.Index == f.Iif {
		return e.Slot
	}
	return 0
}
