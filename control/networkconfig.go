// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// How a NetworkCreate is read. Nothing here looks at the state or the host.

// defaultMTU bounds: below 68 there is no IPv4 (RFC 791), below 1280 no IPv6 (RFC 8200 section 5).
const (
	minMTU  = 68
	minMTU6 = 1280
	maxMTU  = 65535
)

func checkMTU(mtu int, ipv6 bool) error {
	least := minMTU
	if ipv6 {
		least = minMTU6
	}
	if mtu < least || mtu > maxMTU {
		return api.Errorf(api.InvalidArgument, "MTU %d is not from %d to %d", mtu, least, maxMTU)
	}
	return nil
}

// wanted is a NetworkCreate taken apart.
type wanted struct {
	ipv4, ipv6 *api.IPAMConfig // nil: the family is off
	masquerade bool
	mtu        int
	bridge     string
	// host4 and host6 are the host's addresses that packets are to leave with.
	host4, host6 netip.Addr
	nat          natOptions
	packetSize   int
	splice       spliceOption
}

func (e *Engine) parseNetwork(req api.NetworkCreate) (wanted, error) {
	w := wanted{masquerade: true, mtu: e.cfg.MTU}
	if err := checkName("network", req.Name); err != nil {
		return w, err
	}
	if req.Driver != "" && req.Driver != api.Driver {
		return w, api.Errorf(api.Unsupported, "network driver %q is not supported", req.Driver).WithHint("use %q", api.Driver)
	}
	if d := req.IPAM.Driver; d != "" && d != "default" {
		return w, api.Errorf(api.Unsupported, "IPAM driver %q is not supported", d).WithHint(`use "default"`)
	}
	if err := w.parseFamilies(req); err != nil {
		return w, err
	}
	// In order, so that of several mistakes always the same one is named.
	for _, key := range slices.Sorted(maps.Keys(req.Options)) {
		if err := w.parseOption(key, req.Options[key], e.cfg.AllowShortTimeouts); err != nil {
			return w, err
		}
	}
	if err := w.checkHostAddrs(req.Internal); err != nil {
		return w, err
	}
	if w.splice.On && !e.cfg.Splice {
		return w, api.Errorf(api.Unsupported, "option %s is not supported here", api.OptionSplice).
			WithHint("it needs a cgroup v2 hierarchy, and a kernel with CONFIG_NET_SOCK_MSG that lets programs read its memory")
	}
	return w, checkMTU(w.mtu, w.ipv6 != nil)
}

// checkHostAddrs refuses fixed source addresses that would never be used.
func (w *wanted) checkHostAddrs(internal bool) error {
	for _, f := range []struct {
		addr   netip.Addr
		key    string
		config *api.IPAMConfig
		name   string
	}{{w.host4, api.OptionHostIPv4, w.ipv4, "IPv4"}, {w.host6, api.OptionHostIPv6, w.ipv6, "IPv6"}} {
		switch {
		case !f.addr.IsValid():
		case f.config == nil:
			return api.Errorf(api.InvalidArgument, "option %s=%s: the network has no %s", f.key, f.addr, f.name)
		case internal:
			return api.Errorf(api.InvalidArgument, "option %s=%s: nothing leaves an internal network", f.key, f.addr)
		case !w.masquerade:
			return api.Errorf(api.InvalidArgument, "option %s=%s and %s=false exclude each other", f.key, f.addr, api.OptionMasquerade).
				WithHint("leave one of them out")
		}
	}
	return nil
}

// parseFamilies tells which families the network has, and sorts its subnets by them.
func (w *wanted) parseFamilies(req api.NetworkCreate) error {
	for i := range req.IPAM.Config {
		c := req.IPAM.Config[i]
		if !c.Subnet.IsValid() {
			if c.IPRange.IsValid() || c.Gateway.IsValid() || len(c.AuxiliaryAddresses) > 0 {
				return api.Errorf(api.InvalidArgument, "ip-range, gateway and aux-address need a subnet").WithHint("give --subnet too")
			}
			continue
		}
		into, other := &w.ipv4, "IPv4"
		if c.Subnet.Addr().Is6() {
			into, other = &w.ipv6, "IPv6"
		}
		if *into != nil {
			return api.Errorf(api.InvalidArgument, "more than one %s subnet: %s and %s", other, (*into).Subnet, c.Subnet).
				WithHint("make another network for the second")
		}
		*into = &c
	}
	for _, f := range []struct {
		name   string
		enable *bool
		config **api.IPAMConfig
		def    bool
	}{{"IPv4", req.EnableIPv4, &w.ipv4, true}, {"IPv6", req.EnableIPv6, &w.ipv6, false}} {
		enable := f.def || *f.config != nil
		if f.enable != nil {
			enable = *f.enable
		}
		switch {
		case !enable && *f.config != nil:
			return api.Errorf(api.InvalidArgument, "%s is disabled, but subnet %s given", f.name, (*f.config).Subnet)
		case enable && *f.config == nil:
			*f.config = &api.IPAMConfig{}
		}
	}
	if w.ipv4 == nil && w.ipv6 == nil {
		return api.Errorf(api.InvalidArgument, "a network needs IPv4 or IPv6").WithHint("enable one of them")
	}
	return nil
}

func (w *wanted) parseOption(key, value string, allowShort bool) (err error) {
	switch key {
	case api.OptionMasquerade:
		w.masquerade, err = strconv.ParseBool(value)
	case api.OptionMTU:
		w.mtu, err = strconv.Atoi(value)
	case api.OptionHostIPv4:
		w.host4, err = parseHostAddr(value, netip.Addr.Is4)
	case api.OptionHostIPv6:
		w.host6, err = parseHostAddr(value, netip.Addr.Is6)
	case api.OptionPacketSize:
		if w.packetSize, err = parsePacketSize(value); err != nil {
			return err
		}
	case api.OptionICC:
		var icc bool
		if icc, err = strconv.ParseBool(value); err == nil && !icc {
			return api.Errorf(api.Unsupported, "option %s=%s is not supported yet", key, value)
		}
	case api.OptionBridgeName:
		w.bridge = value
		if !strings.HasPrefix(value, LinkPrefix+"-") || len(value) == len(LinkPrefix)+1 || checkInterface(value) != nil {
			return api.Errorf(api.InvalidArgument, "bridge name %q is not valid", value).
				WithHint("begin it with %s-, by which vethwayd knows its own, and use up to 15 characters", LinkPrefix)
		}
	case api.OptionGatewayMode, api.OptionGatewayMode4, api.OptionGatewayMode6:
		if value != "nat" {
			return api.Errorf(api.Unsupported, "gateway mode %q is not supported yet", value).WithHint("use nat, or leave it out")
		}
	case api.OptionSplice:
		if w.splice, err = parseSplice(value); err != nil {
			return api.Errorf(api.InvalidArgument, "option %s: %q is not valid: %w", key, value, err).
				WithHint("use true, false, or up to %d ports, such as 5432,6379", maxSplicePorts)
		}
	default:
		if known, err := w.parseNATOption(key, value, allowShort); known {
			return err
		}
		return api.Errorf(api.InvalidArgument, "unknown network option %s", key).WithHint("known are %s", strings.Join(knownOptions(), ", "))
	}
	if err != nil {
		return api.Errorf(api.InvalidArgument, "option %s: %q is not valid", key, value)
	}
	return nil
}

func knownOptions() []string {
	known := []string{
		api.OptionMasquerade, api.OptionMTU, api.OptionBridgeName, api.OptionICC, api.OptionGatewayMode,
		api.OptionHostIPv4, api.OptionHostIPv6, api.OptionFiltering, api.OptionInboundRefresh, api.OptionPortRest,
		api.OptionPacketSize,
		api.OptionSplice,
	}
	for _, timer := range Timers() {
		if timer.Name != PortRest {
			known = append(known, api.OptionTimeout+timer.Name)
		}
	}
	return known
}

func parseHostAddr(value string, family func(netip.Addr) bool) (netip.Addr, error) {
	addr, err := netip.ParseAddr(value)
	if err == nil && (!family(addr) || addr.Zone() != "" || addr.Is4In6() || addr.IsUnspecified()) {
		err = fmt.Errorf("%s is of the other family", addr)
	}
	return addr, err
}

// hostAddrs are the fixed source addresses that were asked for.
func (n *network) hostAddrs() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{n.HostIPv4, n.HostIPv6}, func(a netip.Addr) bool { return !a.IsValid() })
}

// hostOwns tells whether an address is the host's own, or routed to it, and can be answered from elsewhere: gateways of networks
// cannot.
func (s *state) hostOwns(addr netip.Addr, facts HostFacts) bool {
	for _, n := range s.networks {
		for _, a := range []*addressing{n.IPv4, n.IPv6} {
			if a != nil && a.Subnet.Contains(addr) {
				return false
			}
		}
	}
	return !addr.IsLoopback() && slices.ContainsFunc(facts.Locals, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// halfOfAll: halves of the address space are default routes in disguise, as VPNs set them.
func halfOfAll(p netip.Prefix) bool { return p.Bits() <= 1 }

// hostOverlap finds what of the host's network a subnet would take: a route within it, an address, or a part of what the host is
// connected to, whose neighbours it would make unreachable. A wider route that leads on by a gateway or a tunnel does no harm: the
// more specific one wins, as with any VPN to 10.0.0.0/8.
func hostOverlap(subnet netip.Prefix, facts HostFacts) (string, bool) {
	for _, a := range facts.Addrs {
		switch {
		case subnet.Contains(a.Prefix.Addr()):
			return fmt.Sprintf("the host's address %s on %s", a.Prefix.Addr(), a.Interface), true
		case subnet.Overlaps(a.Prefix) && !halfOfAll(a.Prefix):
			return fmt.Sprintf("%s, which the host is connected to by %s", a.Prefix.Masked(), a.Interface), true
		}
	}
	for _, route := range facts.Routes {
		if subnet.Overlaps(route) && route.Bits() >= subnet.Bits() {
			return "the host's route to " + route.String(), true
		}
	}
	return "", false
}
