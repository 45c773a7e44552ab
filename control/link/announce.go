// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// announce tells the neighbours on the bridge who has the endpoint's addresses now, so that an address that moved from another
// container works at once.
func (l *Links) announce(c *container, peer netlink.Link, e control.EndpointSpec) error {
	if len(e.Addrs) == 0 {
		return nil
	}
	err := c.ns.do(func() error {
		// Protocol 0: the socket sends only.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a packet socket: %w", err)
		}
		// The kernel waits for a grace period of RCU when it closes one, which takes as long as all the rest of an attach.
		defer l.closing.Go(func() { unix.Close(fd) })
		// Until the kernel has worked off the carrier event, the interface has the queue that swallows everything.
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return fmt.Errorf("bypass the queue: %w", err)
		}
		for _, p := range e.Addrs {
			frame := announcement(e.MAC, p.Addr())
			to := &unix.SockaddrLinklayer{Ifindex: peer.Attrs().Index, Halen: 6}
			copy(to.Addr[:], frame[:6])
			if err := unix.Sendto(fd, frame, 0, to); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("announce addresses: %w", err)
	}
	return nil
}

// announcement is the Ethernet frame that announces an address.
func announcement(mac net.HardwareAddr, addr netip.Addr) []byte {
	if addr.Is4() {
		return gratuitousARP(mac, addr)
	}
	return unsolicitedNA(mac, addr)
}

// gratuitousARP is an ARP announcement (RFC 5227 section 3): a broadcast request whose sender and target address are the same.
func gratuitousARP(mac net.HardwareAddr, addr netip.Addr) []byte {
	frame := ethernet("\xff\xff\xff\xff\xff\xff", mac, unix.ETH_P_ARP)
	frame = append(frame, 0, 1, 0x08, 0, 6, 4, 0, 1) // Ethernet, IPv4, request
	frame = append(append(frame, mac...), addr.AsSlice()...)
	return append(append(frame, 0, 0, 0, 0, 0, 0), addr.AsSlice()...)
}

// unsolicitedNA is a neighbour advertisement to all nodes (RFC 4861 section 7.2.6, RFC 9131), with the override flag:
// whoever knows the address by another MAC is to forget that.
func unsolicitedNA(mac net.HardwareAddr, addr netip.Addr) []byte {
	const override = 0x20
	allNodes := netip.IPv6LinkLocalAllNodes()
	icmp := []byte{136, 0, 0, 0, override, 0, 0, 0}
	icmp = append(icmp, addr.AsSlice()...)
	icmp = append(append(icmp, 2, 1), mac...) // target link-layer address
	binary.BigEndian.PutUint16(icmp[2:], icmp6Checksum(addr, allNodes, icmp))

	frame := ethernet("\x33\x33\x00\x00\x00\x01", mac, unix.ETH_P_IPV6)
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(icmp)), unix.IPPROTO_ICMPV6, 255)
	frame = append(append(frame, addr.AsSlice()...), allNodes.AsSlice()...)
	return append(frame, icmp...)
}

func ethernet(dst string, src net.HardwareAddr, proto uint16) []byte {
	return binary.BigEndian.AppendUint16(append([]byte(dst), src...), proto)
}

// icmp6Checksum covers the pseudo-header too (RFC 8200 section 8.1); the message's own checksum field is zero.
func icmp6Checksum(src, dst netip.Addr, message []byte) uint16 {
	data := append(src.AsSlice(), dst.AsSlice()...)
	data = binary.BigEndian.AppendUint32(data, uint32(len(message)))
	data = append(append(data, 0, 0, 0, unix.IPPROTO_ICMPV6), message...)
	var sum uint32
	for i := 0; i+1 < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
