// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Writing an interface's net.ipv6 forwarding makes the kernel forget what it learned by router advertisements on every
// interface of the namespace (addrconf_fixup_forwarding calls rt6_purge_dflt_routers): the host would be without an IPv6 default
// route until the next advertisement, minutes later. So the routes are noted before and put back after.

// learnedRoute is an IPv6 route that the kernel took from a router advertisement.
type learnedRoute struct {
	dst     netip.Prefix
	gateway netip.Addr
	link    int
	metric  uint32
	pref    uint8  // RFC 4191, as both RTA_PREF and RTF_PREF encode it
	expires uint32 // in clock ticks; 0: never
}

// same compares what tells routes apart; the lifetime runs on meanwhile.
func (r learnedRoute) same(o learnedRoute) bool {
	return r.dst == o.dst && r.gateway == o.gateway && r.link == o.link && r.metric == o.metric
}

// in6RtMsg is struct in6_rtmsg.
type in6RtMsg struct {
	dst, src, gateway [16]byte
	kind              uint32
	dstLen, srcLen    uint16
	metric            uint32
	info              uintptr
	flags             uint32
	ifindex           int32
}

// Flags of linux/ipv6_route.h. Netlink cannot set them, and without them the kernel would not take its own route for one
// that the next advertisement refreshes.
const (
	rtfUp        = 0x1
	rtfGateway   = 0x2
	rtfDefault   = 0x10000
	rtfAddrconf  = 0x40000
	rtfExpires   = 0x400000
	rtfRouteInfo = 0x800000
	rtfPrefShift = 27
)

// keepLearned calls change, on a thread of the host's namespace, and restores the learned routes that it cost.
func (l *Links) keepLearned(change func() error) error {
	before, err := l.learnedRoutes()
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	if len(before) == 0 {
		return nil
	}
	after, err := l.learnedRoutes()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range before {
		lost := true
		for _, s := range after {
			lost = lost && !r.same(s)
		}
		if lost {
			errs = append(errs, r.restore())
		}
	}
	return join(errs...)
}

// learnedRoutes reads raw messages, as the netlink library knows neither lifetime nor preference.
func (l *Links) learnedRoutes() ([]learnedRoute, error) {
	s, err := nl.GetNetlinkSocketAt(netns.NsHandle(l.ns.fd()), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer s.Close()
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET6}})
	var learned []learnedRoute
	err = req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(msg []byte) bool {
		if r, ok := parseLearned(msg); ok {
			learned = append(learned, r)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list learned routes: %w", err)
	}
	return learned, nil
}

func parseLearned(msg []byte) (learnedRoute, bool) {
	if len(msg) < unix.SizeofRtMsg {
		return learnedRoute{}, false
	}
	head := nl.DeserializeRtMsg(msg)
	// One that was restored is of protocol boot: the ioctl can set the flags, but not the protocol.
	known := head.Protocol == unix.RTPROT_RA || head.Protocol == unix.RTPROT_BOOT
	if !known || head.Type != unix.RTN_UNICAST || head.Flags&unix.RTM_F_CLONED != 0 {
		return learnedRoute{}, false
	}
	r := learnedRoute{dst: netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	for kind, v := range attributes(msg[unix.SizeofRtMsg:]) {
		if len(v) == 0 || kind != unix.RTA_PREF && len(v) < 4 {
			continue
		}
		switch kind {
		case unix.RTA_DST:
			r.dst = netip.PrefixFrom(addrOf(v), int(head.Dst_len))
		case unix.RTA_GATEWAY:
			r.gateway = addrOf(v)
		case unix.RTA_OIF:
			r.link = int(binary.NativeEndian.Uint32(v))
		case unix.RTA_PRIORITY:
			r.metric = binary.NativeEndian.Uint32(v)
		case unix.RTA_PREF:
			r.pref = v[0]
		case unix.RTA_CACHEINFO:
			if len(v) >= 12 { // struct rta_cacheinfo: rta_expires is the third word
				r.expires = binary.NativeEndian.Uint32(v[8:])
			}
		}
	}
	return r, r.gateway.IsValid()
}

// restore adds the route by ioctl, with the flags of a learned one.
func (r learnedRoute) restore() error {
	msg := in6RtMsg{
		dst: r.dst.Addr().As16(), dstLen: uint16(r.dst.Bits()), gateway: r.gateway.As16(),
		metric: r.metric, ifindex: int32(r.link),
		flags: rtfUp | rtfGateway | rtfAddrconf | uint32(r.pref&3)<<rtfPrefShift,
	}
	if r.dst.Bits() == 0 {
		msg.flags |= rtfDefault
	} else {
		msg.flags |= rtfRouteInfo
	}
	if r.expires != 0 {
		msg.flags |= rtfExpires
		msg.info = uintptr(r.expires)
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&msg)))
	if errno != 0 && errno != unix.EEXIST {
		return fmt.Errorf("restore the learned route to %s via %s: %w", r.dst, r.gateway, errno)
	}
	return nil
}
