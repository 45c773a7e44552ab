// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// ProtocolName is the name that /etc/protocols has for an IP protocol of ours, or its number.
func ProtocolName(proto uint8) string {
	switch proto {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "ipv6-icmp"
	}
	return strconv.Itoa(int(proto))
}

// parseProtocol reads what ProtocolName writes; nothing stands for tcp.
func parseProtocol(s string) (uint8, error) {
	if s == "" {
		return unix.IPPROTO_TCP, nil
	}
	if s == "icmpv6" {
		return unix.IPPROTO_ICMPV6, nil
	}
	for proto := range uint8(255) {
		if ProtocolName(proto) == s {
			return proto, nil
		}
	}
	return 0, fmt.Errorf("protocol %q: want tcp, udp, sctp, icmp, ipv6-icmp or a number", s)
}
