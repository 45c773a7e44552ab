// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/netlab"
)

// routerAdvertisement is a router's RA with a prefix for SLAAC.
func routerAdvertisement(src netip.Addr, mac []byte, lifetime uint16) []byte {
	icmp := []byte{134, 0, 0, 0, 64, 0}
	icmp = binary.BigEndian.AppendUint16(icmp, lifetime)
	icmp = append(icmp, 0, 0, 0, 0, 0, 0, 0, 0)
	icmp = append(append(icmp, 1, 1), mac...)
	icmp = append(icmp, 3, 4, 64, 0xc0)
	icmp = binary.BigEndian.AppendUint32(icmp, 7200)
	icmp = binary.BigEndian.AppendUint32(icmp, 3600)
	icmp = append(icmp, 0, 0, 0, 0)
	icmp = append(icmp, netip.MustParseAddr("2001:db8:7::").AsSlice()...)
	dst := netip.IPv6LinkLocalAllNodes()
	binary.BigEndian.PutUint16(icmp[2:], icmp6Checksum(src, dst, icmp))
	frame := ethernet("\x33\x33\x00\x00\x00\x01", mac, unix.ETH_P_IPV6)
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(icmp)), unix.IPPROTO_ICMPV6, 255)
	frame = append(append(frame, src.AsSlice()...), dst.AsSlice()...)
	return append(frame, icmp...)
}

// advertise sends the RA until the host's route shows the lifetime.
func (l *lab) advertise(p *netlab.PacketSocket, lifetime uint16) {
	l.Helper()
	want := regexp.MustCompile(fmt.Sprintf(`(?m)^default via fe80::1 .*expires (%d|%d)sec`, lifetime, lifetime-1))
	for range 200 {
		if err := p.Send(routerAdvertisement(netip.MustParseAddr("fe80::1"), p.MAC(), lifetime)); err != nil {
			l.Fatal(err)
		}
		if want.MatchString(l.run(l.host, "ip -6 route show dev up0")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.Fatalf("no default route with lifetime %d:\n%s", lifetime, l.run(l.host, "ip -6 route show dev up0"))
}

func TestBridgeKeepsLearnedRoutes(t *testing.T) {
	l := newLab(t)
	router := newNamespace(t, "router")
	if err := l.host.AddVeth("up0", router, "lan0"); err != nil {
		t.Fatal(err)
	}
	p, err := netlab.OpenPacket(router, "lan0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l.advertise(p, 1800)

	one, two := bridgeSpec(), bridgeSpec()
	two.Name, two.MAC, two.Addrs = "vw-second", mac(9), nil
	for _, b := range []control.BridgeSpec{one, two, one} {
		l.bridge(b)
		l.want(l.host, "ip -6 route show dev up0", "default via fe80::1", "expires 17")
	}
	// The kernel takes the restored route for its own: an advertisement refreshes it and adds no second one.
	l.advertise(p, 600)
	if routes := l.run(l.host, "ip -6 route show default"); strings.Count(routes, "default") != 1 {
		t.Errorf("there is not one default route:\n%s", routes)
	}
	for _, dev := range []string{"all", "default", "up0"} {
		if v, err := l.host.Sysctl("net.ipv6.conf." + dev + ".forwarding"); err != nil || v != "0" {
			t.Errorf("forwarding of %s is %q, %v", dev, v, err)
		}
	}
}
