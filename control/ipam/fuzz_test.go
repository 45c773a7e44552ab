// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
)

// FuzzPool makes pools of whatever parses: what is accepted hands out addresses
// of its own, each once, and none that means something else.
func FuzzPool(f *testing.F) {
	for _, s := range [][4]string{
		{"172.30.1.0/24", "", "", ""}, {"172.30.1.0/24", "172.30.1.128/25", "172.30.1.254", "172.30.1.130"}, {"10.0.0.0/31", "", "", ""},
		{"fd00::/64", "fd00::8000/113", "fd00::1", "fd00::2"}, {"10.0.0.4/30", "10.0.0.4/32", "", ""}, {"0.0.0.0/0", "", "", ""}, {"fe80::/10", "", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, subnet, within, gateway, aux string) {
		p, err := netip.ParsePrefix(subnet)
		if err != nil {
			return
		}
		cfg := Config{Subnet: p}
		cfg.Range, _ = netip.ParsePrefix(within)
		cfg.Gateway, _ = netip.ParseAddr(gateway)
		if a, err := netip.ParseAddr(aux); err == nil {
			cfg.Aux = map[string]netip.Addr{"aux": a}
		}
		if err := CheckSubnet(p); err != nil {
			if !errors.Is(err, api.InvalidArgument) {
				t.Errorf("%s: an error without a code: %v", p, err)
			}
			return
		}
		pool, err := New(cfg)
		if err != nil {
			if !errors.Is(err, api.InvalidArgument) {
				t.Errorf("%+v: an error without a code: %v", cfg, err)
			}
			return
		}
		had := map[netip.Addr]bool{pool.Gateway(): true}
		for range 5 {
			a, err := pool.Allocate("x")
			if err != nil {
				return // there are no more
			}
			switch {
			case had[a], !p.Contains(a), cfg.Range.IsValid() && !cfg.Range.Contains(a), a == cfg.Aux["aux"]:
				t.Fatalf("%+v hands out %s", cfg, a)
			case p.Bits() < a.BitLen()-1 && (a == p.Addr() || a.Is4() && a == Last(p)):
				t.Fatalf("%+v hands out %s, which means the subnet", cfg, a)
			}
			had[a] = true
		}
	})
}
