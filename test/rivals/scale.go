// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"fmt"
	"net/netip"
)

// What ScaledSpec can do: a bridge has 1024 ports, a host 65,535 of the other
// kind, of which one is taken twice.
const (
	MaxContainers = 1000
	MaxPorts      = 65000
)

// ScaledSpec has so many containers on network one and so many published TCP
// ports. The ones to be measured are those of CommonSpec: c1, its neighbour c2,
// d1 on network two, and c1's port 8080, which UDP has too. They come last: in a
// chain with a rule for each port, c1's has all others before it where
// addresses are translated. (Docker puts the latest rule first where it lets
// packets through, so that the sum of both is the same for every port.) The
// other ports are those of the other containers, in turn.
func ScaledSpec(containers, ports int) (Spec, error) {
	if containers < 2 || containers > MaxContainers || ports < 1 || ports > MaxPorts {
		return Spec{}, fmt.Errorf("scale the spec to %d containers and %d ports: out of range", containers, ports)
	}
	spec := CommonSpec()
	measured := spec.Networks[0].Containers[0]
	one := Network{
		Name:    "one",
		Subnet4: netip.MustParsePrefix("172.31.0.0/20"), Gateway4: netip.MustParseAddr("172.31.0.1"),
		Subnet6: netip.MustParsePrefix("fd31::/64"), Gateway6: netip.MustParseAddr("fd31::1"),
	}
	ip4, ip6 := one.Gateway4, one.Gateway6
	for i := range containers {
		ip4, ip6 = ip4.Next(), ip6.Next()
		c := Container{Name: fmt.Sprintf("f%d", i+1), IP4: ip4, IP6: ip6}
		switch i {
		case containers - 1:
			c.Name, c.Publish = measured.Name, measured.Publish
		case containers - 2:
			c.Name = "c2"
		}
		one.Containers = append(one.Containers, c)
	}
	others := one.Containers[:containers-1]
	taken := measured.Publish[0].HostPort
	port := uint16(0)
	for i := range ports - 1 {
		if port++; port == taken {
			port++
		}
		c := &others[i%len(others)]
		c.Publish = append(c.Publish, Port{HostPort: port, ContainerPort: port, Proto: "tcp"})
	}
	spec.Networks[0] = one
	return spec, nil
}
