// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/vethway/vethway/control/api"
)

// MAC is an endpoint's link-layer address: 02:42 and the IPv4 address, as Docker made them for years, so that neighbours'
// caches stay right when an address moves to another container; random where there is no IPv4 address.
func MAC(addr netip.Addr, random io.Reader) (net.HardwareAddr, error) {
	if addr.Is4() {
		raw := addr.As4()
		return append(net.HardwareAddr{0x02, 0x42}, raw[:]...), nil
	}
	return RandomMAC(random)
}

// RandomMAC makes a random unicast address that is locally administered. It never begins with 02:42, which MAC uses.
func RandomMAC(random io.Reader) (net.HardwareAddr, error) {
	mac := make(net.HardwareAddr, 6)
	if _, err := io.ReadFull(random, mac); err != nil {
		return nil, fmt.Errorf("choose a MAC address: %w", err)
	}
	mac[0] = mac[0]&^0x03 | 0x02
	if mac[0] == 0x02 && mac[1] == 0x42 {
		mac[1] = 0x43
	}
	return mac, nil
}

// ParseMAC reads a MAC address that a container may have.
func ParseMAC(s string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(s)
	switch {
	case err != nil || len(mac) != 6:
		return nil, api.Errorf(api.InvalidArgument, "%q is not a MAC address", s).WithHint("write it as 02:42:ac:1e:01:02")
	case mac[0]&1 != 0:
		return nil, api.Errorf(api.InvalidArgument, "MAC address %s is a multicast address", mac).
			WithHint("clear the lowest bit of the first byte: %s", net.HardwareAddr(append([]byte{mac[0] &^ 1}, mac[1:]...)))
	case [6]byte(mac) == [6]byte{}:
		return nil, api.Errorf(api.InvalidArgument, "MAC address %s means none", mac)
	}
	return mac, nil
}
