// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestRoutingDigest(t *testing.T) {
	uplink := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "eth0", Index: 2}}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "vw-0123456789ab", Index: 3}}
	links := []netlink.Link{uplink, bridge}
	route := func(index int, gw string) netlink.Route {
		_, dst, _ := net.ParseCIDR("0.0.0.0/0")
		return netlink.Route{Type: unix.RTN_UNICAST, LinkIndex: index, Dst: dst, Gw: net.ParseIP(gw), Table: 254}
	}
	rule := netlink.Rule{Priority: 100, Table: 7, Mark: 1}
	base := routingDigest(links, []netlink.Route{route(2, "192.0.2.3"), route(2, "192.0.2.4")}, []netlink.Rule{rule})

	same := map[string]uint64{
		"another order":       routingDigest(links, []netlink.Route{route(2, "192.0.2.4"), route(2, "192.0.2.3")}, []netlink.Rule{rule}),
		"a route of a bridge": routingDigest(links, []netlink.Route{route(2, "192.0.2.3"), route(2, "192.0.2.4"), route(3, "172.30.1.9")}, []netlink.Rule{rule}),
	}
	for name, digest := range same {
		if digest != base {
			t.Errorf("%s changes the digest", name)
		}
	}
	marked := rule
	marked.Mark = 2
	other := map[string]uint64{
		"another gateway": routingDigest(links, []netlink.Route{route(2, "192.0.2.3"), route(2, "192.0.2.5")}, []netlink.Rule{rule}),
		"a route less":    routingDigest(links, []netlink.Route{route(2, "192.0.2.3")}, []netlink.Rule{rule}),
		"another rule":    routingDigest(links, []netlink.Route{route(2, "192.0.2.3"), route(2, "192.0.2.4")}, []netlink.Rule{marked}),
	}
	for name, digest := range other {
		if digest == base {
			t.Errorf("%s does not change the digest", name)
		}
	}
}
