// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

// EndpointFlags are the flags that shape one attachment to a network.
type EndpointFlags struct {
	ip, ip6, mac, device string
	aliases              []string
	priority             int
}

// AddFlags adds them to a command. Docker calls the MAC --mac-address in one place and mac-address= in another; both
// --mac and --mac-address are understood here.
func (e *EndpointFlags) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&e.ip, "ip", "", "static IPv4 address")
	f.StringVar(&e.ip6, "ip6", "", "static IPv6 address")
	f.StringVar(&e.mac, "mac-address", "", "MAC address (also --mac)")
	f.StringArrayVar(&e.aliases, "alias", nil, "another name on the network (also --network-alias)")
	f.IntVar(&e.priority, "gw-priority", 0, "the network with the highest has the default route")
	f.StringVar(&e.device, "interface", "", "name of the interface in the container (default: the first free eth<n>)")
	Alias(cmd, "mac", "mac-address")
	Alias(cmd, "network-alias", "alias")
}

// Config is what the flags ask for.
func (e *EndpointFlags) Config() (api.EndpointConfig, error) {
	out := api.EndpointConfig{Aliases: e.aliases, GwPriority: e.priority, InterfaceName: e.device}
	if e.ip != "" {
		addr, err := netip.ParseAddr(e.ip)
		if err != nil || !addr.Is4() {
			return out, exit.Errorf(exit.Usage, "--ip %q: not an IPv4 address", e.ip)
		}
		out.IPAMConfig.IPv4Address = addr
	}
	if e.ip6 != "" {
		addr, err := netip.ParseAddr(e.ip6)
		if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" {
			return out, exit.Errorf(exit.Usage, "--ip6 %q: not an IPv6 address", e.ip6)
		}
		out.IPAMConfig.IPv6Address = addr
	}
	if e.mac != "" {
		mac, err := net.ParseMAC(e.mac)
		if err != nil || len(mac) != 6 {
			return out, exit.Errorf(exit.Usage, "--mac-address %q: not a MAC address", e.mac)
		}
		out.MacAddress = mac.String()
	}
	return out, nil
}

// Args spells the flags out again.
func (e *EndpointFlags) Args() []string {
	var args []string
	for flag, value := range map[string]string{"ip": e.ip, "ip6": e.ip6, "mac-address": e.mac, "interface": e.device} {
		if value != "" {
			args = append(args, "--"+flag+"="+value)
		}
	}
	for _, alias := range e.aliases {
		args = append(args, "--alias="+alias)
	}
	if e.priority != 0 {
		args = append(args, "--gw-priority="+strconv.Itoa(e.priority))
	}
	return args
}
