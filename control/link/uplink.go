// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// uplinks picks the interfaces that lead out of the host. Those that are down count too: the programs are to be there
// before the first packet is.
func uplinks(links []netlink.Link, addrs []netlink.Addr) []control.UplinkFacts {
	kinds := map[int]string{}
	for _, link := range links {
		kinds[link.Attrs().Index] = link.Type()
	}
	byIndex := map[int][]netlink.Addr{}
	for _, a := range addrs {
		byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], a)
	}
	var up []control.UplinkFacts
	for _, link := range links {
		attrs := link.Attrs()
		if !isUplink(link, kinds[attrs.MasterIndex]) {
			continue
		}
		facts := control.UplinkFacts{
			Name: attrs.Name, Index: attrs.Index, MTU: attrs.MTU, Ethernet: attrs.EncapType == "ether",
			PacketSize: control.PacketSize{IPv4: int(attrs.GSOIPv4MaxSize), IPv6: int(attrs.GSOMaxSize)},
		}
		for _, a := range preferred(byIndex[attrs.Index]) {
			facts.Addrs = append(facts.Addrs, addrOf(a.IP))
		}
		up = append(up, facts)
	}
	slices.SortFunc(up, func(a, b control.UplinkFacts) int { return cmp.Compare(a.Index, b.Index) })
	return up
}

// hostAddrs lists the addresses of interfaces that are not ours.
func hostAddrs(links []netlink.Link, addrs []netlink.Addr) []control.HostAddr {
	names := map[int]string{}
	for _, link := range links {
		if !ours(link) {
			names[link.Attrs().Index] = link.Attrs().Name
		}
	}
	var list []control.HostAddr
	for _, a := range addrs {
		name, ok := names[a.LinkIndex]
		if p := prefixOf(a.IPNet); ok && p.IsValid() && !p.Addr().IsLinkLocalUnicast() {
			list = append(list, control.HostAddr{Prefix: p, Interface: name})
		}
	}
	slices.SortFunc(list, func(a, b control.HostAddr) int {
		return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Interface, b.Interface))
	})
	return list
}

// isUplink leaves out the ports of bridges, bonds and the like: what they receive is their master's, and seen there. A VRF is no
// such master, as its members keep their addresses.
func isUplink(link netlink.Link, masterKind string) bool {
	attrs := link.Attrs()
	if ours(link) || attrs.Flags&net.FlagLoopback != 0 {
		return false
	}
	// Nothing is routed to an ifb: it only replays what a tc rule took from another interface.
	if link.Type() == "ifb" {
		return false
	}
	switch attrs.EncapType {
	case "can", "netlink", "ieee802.11", "ieee802.11/prism", "ieee802.11/radiotap", "vsockmon": // no IP
		return false
	}
	return attrs.MasterIndex == 0 || masterKind == "vrf"
}

// preferred sorts addresses as the kernel would choose a source among them: wide scope before narrow, primary before
// secondary or temporary, current before deprecated. What cannot be a source of forwarded packets is left out.
func preferred(addrs []netlink.Addr) []netlink.Addr {
	var usable []netlink.Addr
	for _, a := range addrs {
		ip := addrOf(a.IP)
		broken := a.Flags&unix.IFA_F_DADFAILED != 0
		if ip.IsValid() && !broken && !(ip.Is6() && ip.IsLinkLocalUnicast()) && a.Scope < unix.RT_SCOPE_HOST {
			usable = append(usable, a)
		}
	}
	slices.SortStableFunc(usable, func(a, b netlink.Addr) int { return cmp.Compare(demerit(a), demerit(b)) })
	return usable
}

func demerit(a netlink.Addr) int {
	d := a.Scope << 3
	if a.Flags&unix.IFA_F_TENTATIVE != 0 && a.Flags&unix.IFA_F_OPTIMISTIC == 0 {
		d |= 4
	}
	if a.Flags&unix.IFA_F_DEPRECATED != 0 {
		d |= 2
	}
	if a.Flags&unix.IFA_F_SECONDARY != 0 { // the same bit as IFA_F_TEMPORARY
		d |= 1
	}
	return d
}
