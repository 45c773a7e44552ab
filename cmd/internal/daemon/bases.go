// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"

	"github.com/vethway/vethway/control/ipam"
)

// subnetSize is the length of a subnet that is cut from a base, as Docker's default pools have it.
const subnetSize = 24

// split sorts bases by family: the engine cuts IPv4 subnets from several, IPv6 subnets from one.
func split(bases []netip.Prefix) (base4 []ipam.Base, base6 netip.Prefix) {
	for _, p := range bases {
		if p.Addr().Is4() {
			base4 = append(base4, ipam.Base{Prefix: p, Size: subnetSize})
		} else {
			base6 = p
		}
	}
	return base4, base6
}
