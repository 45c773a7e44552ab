// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"github.com/vethway/vethway/control"
)

const (
	// fragmentWait is how many seconds the detour's namespace waits for the rest of a datagram; fragmentRoom is how many bytes of such
	// fragments it keeps, for each family.
	fragmentWait = "5"
	fragmentRoom = "4194304"
	fragmentLow  = "3145728"
)

// theDetour is the annex where the kernel puts fragments in order. Its MTU is so large that fragments leave as large as they came.
func (l *Links) theDetour() annex {
	return annex{link: control.DetourLink, file: l.detour, settings: detourSettings, routes: detourRoutes}
}

// EnsureDetour makes or repairs the detour for fragments, which is kept at Config.DetourFile.
func (l *Links) EnsureDetour(ctx context.Context) (control.DetourInfo, error) {
	a := l.theDetour()
	index, ns, err := l.ensureAnnex(ctx, a)
	if err != nil {
		return control.DetourInfo{}, fmt.Errorf("detour for fragments: %w", err)
	}
	return control.DetourInfo{Index: index, MAC: a.farMAC(), Namespace: ns}, nil
}

// RemoveDetour removes it; what is gone already is no error.
func (l *Links) RemoveDetour(ctx context.Context) error {
	if err := l.removeAnnex(ctx, l.theDetour()); err != nil {
		return fmt.Errorf("remove the detour for fragments: %w", err)
	}
	return nil
}

func detourRoutes(_ context.Context, far device) error {
	mac := portMAC(control.DetourLink)
	if err := far.ensureWayBack(netip.PrefixFrom(netip.IPv4Unspecified(), 0), annexVia4(), mac, 0); err != nil || !haveIPv6() {
		return err
	}
	return far.ensureWayBack(netip.PrefixFrom(netip.IPv6Unspecified(), 0), annexVia6(), mac, 0)
}

// haveIPv6 tells whether the kernel has IPv6 at all.
func haveIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// detourSettings make the namespace forward everything that can be forwarded.
func detourSettings(dev string) []setting {
	list := append(annexForwarding(dev), []setting{
		{path: "ipv4/ipfrag_time", value: fragmentWait},
		{path: "ipv4/ipfrag_high_thresh", value: fragmentRoom},
		{path: "ipv4/ipfrag_low_thresh", value: fragmentLow, optional: true},
		// A busy server has more datagrams than 64 under way to the same client.
		{path: "ipv4/ipfrag_max_dist", value: "0"},
		{path: "ipv6/conf/all/forwarding", value: "1", optional: true},
		{path: "ipv6/ip6frag_time", value: fragmentWait, optional: true},
		{path: "ipv6/ip6frag_high_thresh", value: fragmentRoom, optional: true},
		{path: "ipv6/ip6frag_low_thresh", value: fragmentLow, optional: true},
		// Netfilter's own reassembly of IPv6, which is the one that is at work there.
		{path: "netfilter/nf_conntrack_frag6_timeout", value: fragmentWait, optional: true},
		{path: "netfilter/nf_conntrack_frag6_high_thresh", value: fragmentRoom, optional: true},
		{path: "netfilter/nf_conntrack_frag6_low_thresh", value: fragmentLow, optional: true},
	}...)
	for key, value := range map[string]string{
		"addr_gen_mode": "1", "accept_ra": "0", "accept_dad": "0", "accept_redirects": "0", "forwarding": "1", "disable_ipv6": "0",
	} {
		s := conf6(dev, key, value)
		s.optional = true
		list = append(list, s)
	}
	return list
}
