// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"strconv"

	"github.com/vethway/vethway/control/api"
)

// TCP hands over packets that are cut up only where they leave for a wire, if at all (GSO). The larger they are, the fewer times the way
// is gone: beyond 64 KiB that is BIG TCP, of which the kernel has to be told.

const (
	// plainPacketSize is what every interface takes, and what one takes that says nothing.
	plainPacketSize = 65536
	// maxPacketSize is the kernel's GSO_MAX_SIZE.
	maxPacketSize = 524280
	// bigPacketSize is ours unless a network says otherwise: with larger ones copying the bytes is all that is left.
	bigPacketSize = 196608
)

// PacketSize is the length of the largest packet that is built for an interface, or taken together on it; 0: not known, or not to be
// changed. The kernel has IPv6's since 5.19 and IPv4's since 6.3.
type PacketSize struct{ IPv4, IPv6 int }

func (s PacketSize) atMost(other PacketSize) PacketSize {
	return PacketSize{IPv4: min(s.IPv4, max(other.IPv4, plainPacketSize)), IPv6: min(s.IPv6, max(other.IPv6, plainPacketSize))}
}

// parsePacketSize reads api.OptionPacketSize; 0 is auto.
func parsePacketSize(value string) (int, error) {
	if value == api.PacketSizeAuto {
		return 0, nil
	}
	size, err := strconv.Atoi(value)
	if err == nil && (size < plainPacketSize || size > maxPacketSize) {
		err = fmt.Errorf("%d bytes are out of range", size)
	}
	if err != nil {
		return 0, api.Errorf(api.InvalidArgument, "option %s: %q is not valid", api.OptionPacketSize, value).
			WithHint("use %s, or bytes from %d, which is as if there were no BIG TCP, to %d", api.PacketSizeAuto, plainPacketSize, maxPacketSize)
	}
	return size, nil
}

// toContainers is for what goes to the network's containers, which no uplink limits.
//
// Up to Linux 6.19 a big packet of IPv6 has a header of its own that makes its segments seem 8 bytes too long to whoever routes it by
// the kernel's means, a container that is a router included: there it is not for us to begin with it.
func (e *Engine) toContainers(n *network) PacketSize {
	if n.PacketSize != 0 {
		return PacketSize{IPv4: n.PacketSize, IPv6: n.PacketSize}
	}
	size := PacketSize{IPv4: bigPacketSize, IPv6: bigPacketSize}
	if !e.kernel.facts.RoutesBig6 {
		size.IPv6 = plainPacketSize
	}
	return size
}

// fromContainers is for what the network's containers send. A container has one size for all that it sends, so what may leave the
// host must not be larger than any uplink takes: the kernel would cut it into the wire's packets there and then, which costs far more
// than larger packets save.
func (e *Engine) fromContainers(n *network) PacketSize {
	size := e.toContainers(n)
	if n.PacketSize != 0 || n.Internal {
		return size
	}
	for _, u := range e.uplinks() {
		size = size.atMost(u.PacketSize)
	}
	return size
}
