// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/bpf"
)

// Addresses tells by the longest prefix whose an address is. Lookup finds the longest one that covers its key.
type Addresses = Table[netip.Prefix, Address]

// AddressKind says whose an address is.
type AddressKind uint32

const (
	AddressUnknown = AddressKind(bpf.VethwayAddressKindADDRESS_UNKNOWN)
	AddressLocal   = AddressKind(bpf.VethwayAddressKindADDRESS_LOCAL)
	AddressSubnet  = AddressKind(bpf.VethwayAddressKindADDRESS_SUBNET)
)

// Address is what is known of a prefix.
type Address struct {
	Kind    AddressKind
	Network uint32 // whose subnet, or whose gateway; 0: none
}

func addressesWire() wire[netip.Prefix, Address] {
	return codec[netip.Prefix, Address, bpf.VethwayAddressKey, bpf.VethwayAddressValue]{
		key: toPrefix, unkey: fromPrefix,
		value: func(v Address) bpf.VethwayAddressValue {
			return bpf.VethwayAddressValue{Kind: bpf.VethwayAddressKind(v.Kind), Network: v.Network}
		},
		unvalue: func(v bpf.VethwayAddressValue) Address {
			return Address{Kind: AddressKind(v.Kind), Network: v.Network}
		},
	}
}

func (n Names) addressRow(k netip.Prefix, v Address) Row {
	return Row{
		{"prefix", k},
		{"kind", n.AddressKind(v.Kind)},
		{"network", v.Network},
	}
}

// parsePrefixKey reads a prefix, or an address as the longest prefix that covers it.
func parsePrefixKey(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q: want an address or a prefix", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q: want an address or a prefix", s)
	}
	return p.Masked(), nil
}
