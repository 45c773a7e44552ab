// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestShortcutPlaces: the first addresses of neighbouring subnets do not take each other's places, in either family.
func TestShortcutPlaces(t *testing.T) {
	for _, format := range []string{"10.0.%d.%d", "fd00:0:0:%x::%x", "fd30:%x::%x"} {
		places := make(map[uint32]netip.Addr)
		for subnet := 1; subnet <= 8; subnet++ {
			for host := 1; host <= 8; host++ {
				a := netip.MustParseAddr(fmt.Sprintf(format, subnet, host))
				if other, taken := places[ShortcutIndex(a)]; taken {
					t.Errorf("%s has the place of %s", a, other)
				}
				places[ShortcutIndex(a)] = a
			}
		}
	}
}
