// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// ensurePacketSizes sets up to which length the kernel keeps together what it sends by the interface (GSO), and takes together what it
// receives by it (GRO). A kernel that does not report a size has no such setting, and ignores whoever sets it.
func (d device) ensurePacketSizes(send, receive control.PacketSize) error {
	attrs := d.link.Attrs()
	most := int(attrs.TSOMaxSize)
	for _, s := range []struct {
		what string
		want int
		have *uint32
		// legacy is what the kernel sets along when the size goes down to 64 KiB.
		legacy *uint32
		set    func(netlink.Link, int) error
	}{
		{"gso_max_size", within(send.IPv6, most), &attrs.GSOMaxSize, &attrs.GSOIPv4MaxSize, d.h.LinkSetGSOMaxSize},
		{"gso_ipv4_max_size", within(send.IPv4, most), &attrs.GSOIPv4MaxSize, nil, d.h.LinkSetGSOIPv4MaxSize},
		{"gro_max_size", receive.IPv6, &attrs.GROMaxSize, &attrs.GROIPv4MaxSize, d.h.LinkSetGROMaxSize},
		{"gro_ipv4_max_size", receive.IPv4, &attrs.GROIPv4MaxSize, nil, d.h.LinkSetGROIPv4MaxSize},
	} {
		if s.want == 0 || *s.have == 0 || int(*s.have) == s.want {
			continue
		}
		if err := s.set(d.link, s.want); err != nil {
			return fmt.Errorf("set %s of %s to %d: %w", s.what, attrs.Name, s.want, err)
		}
		*s.have = uint32(s.want)
		if s.legacy != nil && *s.legacy != 0 && s.want <= plainPacketSize {
			*s.legacy = uint32(s.want)
		}
	}
	return nil
}

// plainPacketSize is the kernel's GSO_LEGACY_MAX_SIZE.
const plainPacketSize = 65536

// within keeps a size to what the interface can take; a bridge can take what all of its ports can, and as long as it has none, 64 KiB.
func within(size, most int) int {
	if most == 0 {
		return size
	}
	return min(size, most)
}

// ensureBridgeSize raises the bridge's size once there is a port that lets it.
func (l *Links) ensureBridgeSize(bridge netlink.Link, size control.PacketSize) error {
	link, err := l.h.LinkByIndex(bridge.Attrs().Index)
	if err != nil {
		return fmt.Errorf("look up bridge %s: %w", bridge.Attrs().Name, err)
	}
	return device{l.h, link}.ensurePacketSizes(size, control.PacketSize{})
}

// routesBig6: Linux 7.0 gave up the hop-by-hop header of big IPv6 packets, which ip6_forward counts as part of every segment, so that
// full ones seem too long for the MTU. It is a matter of the version: nothing else tells.
func routesBig6() (bool, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false, fmt.Errorf("ask for the kernel's version: %w", err)
	}
	return sinceLinux7(unix.ByteSliceToString(name.Release[:])), nil
}

func sinceLinux7(release string) bool {
	major, _, _ := strings.Cut(release, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 7
}
