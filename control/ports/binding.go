// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"fmt"
	"net/netip"
)

// Binding is a published port: one host address (unspecified: all of its family), one host port, one container port. With More
// it stands for the ports that follow as well, each of which leads to the container port that follows.
type Binding struct {
	HostIP        netip.Addr
	HostPort      uint16
	Protocol      string
	ContainerPort uint16
	More          uint16 `json:",omitempty"` // how many ports follow
}

// Len is how many ports there are.
func (b Binding) Len() int { return int(b.More) + 1 }

// String is the binding's host side.
func (b Binding) String() string {
	if b.More == 0 {
		return fmt.Sprintf("%s/%s", netip.AddrPortFrom(b.HostIP, b.HostPort), b.Protocol)
	}
	return fmt.Sprintf("%s-%d/%s", netip.AddrPortFrom(b.HostIP, b.HostPort), int(b.HostPort)+int(b.More), b.Protocol)
}

// Part is n of the ports, the i-th and those that follow.
func (b Binding) Part(i, n int) Binding {
	b.HostPort, b.ContainerPort, b.More = b.HostPort+uint16(i), b.ContainerPort+uint16(i), uint16(n-1)
	return b
}

// continues reports whether b is what follows another binding.
func (b Binding) continues(before Binding) bool {
	n := before.Len()
	return int(b.HostPort) == int(before.HostPort)+n && int(b.ContainerPort) == int(before.ContainerPort)+n &&
		b.HostIP == before.HostIP && b.Protocol == before.Protocol
}

// appendJoined adds a binding to others, as a part of one of the last two if it continues that: there are two while ports are
// published on every address of both families.
func appendJoined(list []Binding, b Binding) []Binding {
	for i := len(list) - 1; i >= max(0, len(list)-2); i-- {
		if b.continues(list[i]) {
			list[i].More += b.More + 1
			return list
		}
	}
	return append(list, b)
}
