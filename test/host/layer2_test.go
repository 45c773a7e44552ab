// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
	"github.com/vethway/vethway/test/netlab"
)

// A new container tells its neighbours of its addresses, and one that takes over an address is reached at once.
func TestAddressesAreAnnounced(t *testing.T) {
	behaviour.NeedRoot(t)
	behaviour.Covers(t, "D31", behaviour.Both)
	t.Parallel()
	l := newLab(t)
	cfg := api.EndpointConfig{IPAMConfig: api.EndpointIPAMConfig{IPv4Address: addr("172.30.1.9"), IPv6Address: addr("fd30:1::9")}}
	macs := []string{"02:00:00:00:00:09", "02:00:00:00:00:0a"}
	for round, mac := range macs {
		name := fmt.Sprintf("n%d", round)
		ear, err := netlab.OpenPacket(l.at("c2"), "eth0")
		l.must(err)
		cfg.MacAddress = mac
		l.attach(name, "one", cfg)
		heard := map[string]bool{}
		ctx, cancel := context.WithTimeout(l.Context(), 2*time.Second)
		_, err = ear.Sniff(ctx, func(f netlab.Frame) bool {
			heard["ARP"] = heard["ARP"] || announces4(f.Data, cfg.IPAMConfig.IPv4Address, mac)
			heard["ND"] = heard["ND"] || announces6(f.Data, cfg.IPAMConfig.IPv6Address, mac)
			return heard["ARP"] && heard["ND"]
		})
		cancel()
		if err != nil {
			l.Errorf("%s: not both of its addresses were announced: %v, %v", name, heard, err)
		}
		l.must(ear.Close())
		for _, to := range []netip.Addr{cfg.IPAMConfig.IPv4Address, cfg.IPAMConfig.IPv6Address} {
			// No retries, no time for a neighbour entry to grow old.
			for _, from := range []string{"c2", "H"} {
				seen := l.ask(l.at(from), "udp", port(to, serverPort), netlab.WhoAmIOptions{Timeout: silence})
				if seen.Server != name {
					l.Errorf("%s asked %s and was answered by %s", from, to, seen.Server)
				}
			}
			l.ask(l.at("c1"), "tcp", port(to, serverPort), netlab.WhoAmIOptions{})
		}
		l.must(l.api.DetachContainer(l.Context(), name))
	}
}

// announces4: an ARP message whose sender and target are the address (RFC 5227).
func announces4(f []byte, a netip.Addr, mac string) bool {
	if len(f) < 42 || binary.BigEndian.Uint16(f[12:]) != netlab.EtherTypeARP {
		return false
	}
	ip := a.As4()
	return net.HardwareAddr(f[22:28]).String() == mac && [4]byte(f[28:32]) == ip && [4]byte(f[38:42]) == ip &&
		net.HardwareAddr(f[:6]).String() == netlab.Broadcast().String()
}

// announces6: a neighbour advertisement to all nodes that overrides what they know (RFC 4861 section 7.2.6).
func announces6(f []byte, a netip.Addr, mac string) bool {
	if len(f) < 14+40+24 || binary.BigEndian.Uint16(f[12:]) != netlab.EtherTypeIPv6 || f[14+6] != netlab.ProtoICMPv6 {
		return false
	}
	icmp := f[54:]
	return icmp[0] == 136 && icmp[4]&0x20 != 0 && netip.AddrFrom16([16]byte(icmp[8:24])) == a &&
		netip.AddrFrom16([16]byte(f[38:54])) == addr("ff02::1") && net.HardwareAddr(f[6:12]).String() == mac
}

// Broadcast and multicast reach everybody on the network, and nobody else.
func TestFloodingStaysInTheNetwork(t *testing.T) {
	modes(t, func(l lab) {
		ears := map[string]*netlab.PacketSocket{}
		for _, name := range []string{"c2", "d1", "R"} {
			ear, err := netlab.OpenPacket(l.at(name), "eth0")
			l.must(err)
			l.Cleanup(func() { ear.Close() })
			ears[name] = ear
		}
		mouth, err := netlab.OpenPacket(l.at("c1"), "eth0")
		l.must(err)
		l.Cleanup(func() { mouth.Close() })
		l.families("D32", func(l lab, a family) {
			groups := map[netip.Addr]net.HardwareAddr{
				addr("ff02::1"):      {0x33, 0x33, 0, 0, 0, 1},
				addr("ff02::fb"):     {0x33, 0x33, 0, 0, 0, 0xfb},
				addr("ff05::1:3"):    {0x33, 0x33, 0, 1, 0, 3},
				addr("ff0e::4321:1"): {0x33, 0x33, 0x43, 0x21, 0, 1},
			}
			if a.host.Is4() {
				groups = map[netip.Addr]net.HardwareAddr{
					addr("172.30.1.255"):    netlab.Broadcast(),
					addr("255.255.255.255"): netlab.Broadcast(),
					addr("224.0.0.251"):     {1, 0, 0x5e, 0, 0, 0xfb},
					addr("239.1.2.3"):       {1, 0, 0x5e, 1, 2, 3},
				}
			}
			src := port(a.c1, 4321)
			for group, mac := range groups {
				l.must(mouth.Send(netlab.IPFrame(mac, mouth.MAC(), netlab.UDPPacket(src, port(group, 4321), []byte("hello")))))
			}
			for name, ear := range ears {
				ctx, cancel := context.WithTimeout(l.Context(), silence)
				frames, err := ear.Collect(ctx, func(f netlab.Frame) bool {
					ip, ok := f.IP()
					return ok && !f.Outgoing && ip.Dst.Port() == 4321
				})
				cancel()
				l.must(err)
				heard := map[netip.Addr]bool{}
				for _, f := range frames {
					ip, _ := f.IP()
					heard[ip.Dst.Addr()] = true
				}
				for group := range groups {
					if want := name == "c2"; heard[group] != want {
						l.Errorf("%s heard what is for %s: %v, want %v", name, group, heard[group], want)
					}
				}
			}
		})
	})
}
