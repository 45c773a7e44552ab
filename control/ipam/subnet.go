// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// Base is a block that default subnets are cut from, each Size bits long.
type Base struct {
	Prefix netip.Prefix
	Size   int
}

// DefaultBases are used where nothing is configured. They lie beside Docker's own, so that both can run on one host.
func DefaultBases() []Base {
	return []Base{
		{netip.MustParsePrefix("172.30.0.0/16"), 24},
		{netip.MustParsePrefix("10.210.0.0/16"), 24},
	}
}

// Validate tells whether subnets can be cut from the base.
func (b Base) Validate() error {
	if !b.Prefix.IsValid() || b.Prefix != b.Prefix.Masked() {
		return api.Errorf(api.InvalidArgument, "address pool %s: not a network prefix", b.Prefix)
	}
	if b.Size < b.Prefix.Bits() || b.Size >= b.Prefix.Addr().BitLen() {
		return api.Errorf(api.InvalidArgument, "address pool %s: subnets of /%d cannot be cut from it", b.Prefix, b.Size)
	}
	return nil
}

// ULA makes a /48 for local use with a random global ID (RFC 4193 section 3.2).
func ULA(random io.Reader) (netip.Prefix, error) {
	raw := [16]byte{0: 0xfd}
	if _, err := io.ReadFull(random, raw[1:6]); err != nil {
		return netip.Prefix{}, fmt.Errorf("choose a local IPv6 prefix: %w", err)
	}
	return netip.PrefixFrom(netip.AddrFrom16(raw), 48), nil
}

// Choose cuts the first subnet from bases that overlaps none of taken. It fails with api.ResourceExhausted.
func Choose(bases []Base, taken []netip.Prefix) (netip.Prefix, error) {
	for _, base := range bases {
		addr := base.Prefix.Addr()
		for addr.IsValid() && base.Prefix.Contains(addr) {
			candidate := netip.PrefixFrom(addr, base.Size)
			clash, ok := overlapping(candidate, taken)
			if !ok {
				return candidate, nil
			}
			// The wider of the two ends last: nothing before its end can be free.
			if clash.Bits() > candidate.Bits() {
				clash = candidate
			}
			addr = Last(clash).Next()
		}
	}
	names := make([]string, len(bases))
	for i, base := range bases {
		names[i] = base.Prefix.String()
	}
	return netip.Prefix{}, api.Errorf(api.ResourceExhausted, "no free subnet left in %s", strings.Join(names, ", ")).
		WithHint("name one with --subnet, or remove networks nobody uses: vethway network prune")
}

func overlapping(p netip.Prefix, taken []netip.Prefix) (netip.Prefix, bool) {
	for _, t := range taken {
		if p.Overlaps(t) {
			return t.Masked(), true
		}
	}
	return netip.Prefix{}, false
}

// Last is the highest address of a prefix: for IPv4 the broadcast address.
func Last(p netip.Prefix) netip.Addr {
	raw := p.Masked().Addr().As16()
	bits := p.Bits() + 128 - p.Addr().BitLen()
	for i := range raw {
		switch {
		case i*8 >= bits:
			raw[i] = 0xff
		case i*8+8 > bits:
			raw[i] |= 0xff >> (bits - i*8)
		}
	}
	last := netip.AddrFrom16(raw)
	if p.Addr().Is4() {
		return last.Unmap()
	}
	return last
}

// unusable are the blocks no container may have its address from.
var unusable = []struct {
	prefix netip.Prefix
	name   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this host (RFC 1122)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/3"), "multicast and reserved"},
	{netip.MustParsePrefix("::/96"), "loopback and unspecified"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// CheckSubnet tells whether a network can have the subnet.
func CheckSubnet(p netip.Prefix) error {
	if !p.IsValid() {
		return api.Errorf(api.InvalidArgument, "no valid subnet given").WithHint("write it as 172.30.1.0/24")
	}
	if p != p.Masked() {
		return api.Errorf(api.InvalidArgument, "subnet %s has host bits set", p).WithHint("you may mean %s", p.Masked())
	}
	for _, u := range unusable {
		if u.prefix.Overlaps(p) {
			return api.Errorf(api.InvalidArgument, "subnet %s overlaps %s, %s", p, u.prefix, u.name).
				WithHint("take one from 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fd00::/8")
		}
	}
	if p.Bits() > p.Addr().BitLen()-1 {
		return api.Errorf(api.InvalidArgument, "subnet %s has no room for a gateway and a container", p).
			WithHint("the smallest are /31 (RFC 3021) and /127")
	}
	return nil
}
