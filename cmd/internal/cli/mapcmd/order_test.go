// SPDX-License-Identifier: Apache-2.0

package mapcmd

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/maps"
)

func TestSorted(t *testing.T) {
	row := func(values ...any) (r maps.Row) {
		for _, v := range values {
			r = append(r, maps.Field{Value: v})
		}
		return r
	}
	addr, port := netip.MustParseAddr, netip.MustParseAddrPort
	for name, c := range map[string]struct {
		rows []maps.Row
		want string
	}{
		"numbers":   {[]maps.Row{row(uint32(10)), row(uint32(9)), row(uint32(100))}, "[9 10 100]"},
		"addresses": {[]maps.Row{row(addr("172.30.1.10")), row(addr("fd00::1")), row(addr("172.30.1.9"))}, "[172.30.1.9 172.30.1.10 fd00::1]"},
		"ports":     {[]maps.Row{row(port("10.0.0.1:100")), row(port("10.0.0.1:99"))}, "[10.0.0.1:99 10.0.0.1:100]"},
		"texts":     {[]maps.Row{row("udp"), row("tcp")}, "[tcp udp]"},
		"absent":    {[]maps.Row{row(uint32(1)), row(nil)}, "[1 <nil>]"},
		"second":    {[]maps.Row{row("tcp", uint16(2)), row("tcp", uint16(1))}, "[tcp tcp]"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []any
			for _, r := range sorted(c.rows) {
				got = append(got, r[0].Value)
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
			if last := c.rows[len(c.rows)-1]; len(last) > 1 && last[1].Value != uint16(2) {
				t.Errorf("the second column does not count: %v", c.rows)
			}
		})
	}
}
