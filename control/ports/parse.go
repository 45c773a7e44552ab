// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vethway/vethway/control/api"
)

const grammar = "write [[HOST-IP:][HOST-PORT[-END]]:]CONTAINER-PORT[-END][/tcp|udp|sctp], an IPv6 address in brackets"

// Parse reads one -p argument:
//
//	80                any free host port
//	8080:80           this one
//	8000-8005:80-85   as many as there are container ports
//	8000-8010:80      the first free one
//	192.0.2.2::80     any free port of one address
//	[::1]:8080:80/udp
//
// Its errors are api.InvalidArgument.
func Parse(s string) (api.PublishSpec, error) {
	spec, err := parse(s)
	if err != nil {
		return api.PublishSpec{}, bad(s, err)
	}
	if err := Validate(spec); err != nil {
		return api.PublishSpec{}, bad(s, err)
	}
	return spec, nil
}

func bad(s string, err error) error {
	return api.Errorf(api.InvalidArgument, "publish %q: %w", s, err).WithHint(grammar)
}

func parse(s string) (spec api.PublishSpec, err error) {
	rest, proto, slash := strings.Cut(s, "/")
	spec.Protocol = api.TCP
	if slash {
		if proto == "" {
			return spec, errors.New("no protocol after the slash")
		}
		spec.Protocol = strings.ToLower(proto)
	}
	host, container := "", rest
	if colon := strings.LastIndexByte(rest, ':'); colon >= 0 {
		host, container = rest[:colon], rest[colon+1:]
		if spec.HostIP, host, err = cutAddr(host); err != nil {
			return spec, err
		}
	}
	if spec.ContainerPort, spec.ContainerPortEnd, err = parseRange("container", container); err != nil {
		return spec, err
	}
	if spec.ContainerPort == 0 {
		return spec, errors.New("container port 0 cannot be published")
	}
	if host == "" || host == "0" {
		return spec, nil
	}
	if spec.HostPort, spec.HostPortEnd, err = parseRange("host", host); err != nil {
		return spec, err
	}
	if spec.HostPort == 0 {
		return spec, errors.New("host ports cannot begin with 0")
	}
	return spec, nil
}

// cutAddr takes the host's address off what stands before the last colon, if there is one.
func cutAddr(s string) (netip.Addr, string, error) {
	var none netip.Addr
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, port, ok := strings.Cut(inner, "]:")
		if !ok {
			return none, "", errors.New("no host port after the address: leave it empty for any, as in [::1]::80")
		}
		addr, err := netip.ParseAddr(inner)
		if err != nil || !addr.Is6() {
			return none, "", fmt.Errorf("%q is not an IPv6 address", inner)
		}
		return addr.Unmap(), port, nil
	}
	ip, port, ok := strings.Cut(s, ":")
	if !ok {
		if addr, err := netip.ParseAddr(s); err == nil {
			return none, "", fmt.Errorf("no host port after %s: leave it empty for any, as in %s::80", addr, addr)
		}
		return none, s, nil
	}
	if strings.Contains(port, ":") {
		return none, "", errors.New("too many colons")
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return none, "", fmt.Errorf("%q is not an IP address", ip)
	}
	return addr, port, nil
}

// parseRange reads N or N-M; the end is 0 for a single port.
func parseRange(what, s string) (first, last uint16, err error) {
	a, b, ranged := strings.Cut(s, "-")
	if first, err = parsePort(what, a); err != nil || !ranged {
		return first, 0, err
	}
	if last, err = parsePort(what, b); err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, fmt.Errorf("%s ports %s run backwards", what, s)
	}
	if last == first {
		last = 0
	}
	return first, last, nil
}

func parsePort(what, s string) (uint16, error) {
	if s == "" {
		return 0, fmt.Errorf("no %s port", what)
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || s[0] == '+' {
		return 0, fmt.Errorf("%s port %q is not a number from 1 to 65535", what, s)
	}
	return uint16(n), nil
}

// Validate checks a spec that did not come from Parse. Its errors are api.InvalidArgument.
func Validate(s api.PublishSpec) error {
	switch s.Protocol {
	case api.TCP, api.UDP, api.SCTP, "":
	default:
		return api.Errorf(api.InvalidArgument, "protocol %q is none of tcp, udp, sctp", s.Protocol)
	}
	hosts, containers := span(s.HostPort, s.HostPortEnd), span(s.ContainerPort, s.ContainerPortEnd)
	switch {
	case s.ContainerPort == 0:
		return api.Errorf(api.InvalidArgument, "no container port given")
	case containers < 1:
		return api.Errorf(api.InvalidArgument, "container ports %d-%d run backwards", s.ContainerPort, s.ContainerPortEnd)
	case hosts < 1, s.HostPort == 0 && s.HostPortEnd != 0:
		return api.Errorf(api.InvalidArgument, "host ports %d-%d run backwards", s.HostPort, s.HostPortEnd)
	case s.HostPort != 0 && containers > 1 && hosts != containers:
		return api.Errorf(api.InvalidArgument, "%d host ports for %d container ports: the ranges must be of equal length",
			hosts, containers)
	}
	return checkHostIP(s.HostIP)
}

func checkHostIP(a netip.Addr) error {
	switch {
	case !a.IsValid(), a.IsUnspecified():
		return nil
	case a.Zone() != "":
		return api.Errorf(api.InvalidArgument, "host address %s has a zone: link-local addresses cannot be published on", a)
	case a.Is4In6():
		return api.Errorf(api.InvalidArgument, "host address %s is IPv4-mapped: write %s", a, a.Unmap())
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return api.Errorf(api.InvalidArgument, "host address %s is not a unicast address", a)
	}
	return nil
}

// span is how many ports there are from first to last, where last 0 means a single one.
func span(first, last uint16) int {
	if last == 0 {
		return 1
	}
	return int(last) - int(first) + 1
}

// Format writes a spec as Parse reads it.
func Format(s api.PublishSpec) string {
	var b strings.Builder
	if s.HostIP.IsValid() {
		if s.HostIP.Is4() {
			b.WriteString(s.HostIP.String() + ":")
		} else {
			b.WriteString("[" + s.HostIP.String() + "]:")
		}
	}
	if s.HostPort != 0 {
		b.WriteString(formatRange(s.HostPort, s.HostPortEnd))
	}
	if s.HostPort != 0 || s.HostIP.IsValid() {
		b.WriteByte(':')
	}
	b.WriteString(formatRange(s.ContainerPort, s.ContainerPortEnd))
	if s.Protocol != "" && s.Protocol != api.TCP {
		b.WriteString("/" + s.Protocol)
	}
	return b.String()
}

func formatRange(first, last uint16) string {
	if last == 0 {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d-%d", first, last)
}
