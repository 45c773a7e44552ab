// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// portSettings reads the port sysctls of the host's namespace.
func (l *Links) portSettings() (span [2]uint16, reserved []control.PortSpan, err error) {
	var rangeText, reservedText string
	err = l.ns.do(func() (err error) {
		if rangeText, err = readSysctl("ipv4/ip_local_port_range"); err != nil {
			return err
		}
		reservedText, err = readSysctl("ipv4/ip_local_reserved_ports")
		return err
	})
	if err != nil {
		return span, nil, err
	}
	spans, err := parsePorts(strings.Join(strings.Fields(rangeText), "-"))
	if err != nil || len(spans) != 1 {
		return span, nil, fmt.Errorf("sysctl ip_local_port_range is %q", rangeText)
	}
	if reserved, err = parsePorts(reservedText); err != nil {
		return span, nil, fmt.Errorf("sysctl ip_local_reserved_ports: %w", err)
	}
	return [2]uint16{spans[0].First, spans[0].Last}, reserved, nil
}

// parsePorts reads the kernel's bitmap notation: "8080,9148-9150".
func parsePorts(text string) ([]control.PortSpan, error) {
	var spans []control.PortSpan
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		first, last, ranged := strings.Cut(item, "-")
		if !ranged {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is not a port", first)
		}
		b, err := strconv.ParseUint(last, 10, 16)
		if err != nil || b < a {
			return nil, fmt.Errorf("%q is not a range of ports", item)
		}
		spans = append(spans, control.PortSpan{First: uint16(a), Last: uint16(b)})
	}
	return spans, nil
}

// boundPorts lists the ports that the host's sockets are bound to. Of connections only those with a port outside of the local
// port range count: a port inside it was the kernel's own choice, and a busy host has very many.
func (l *Links) boundPorts(ctx context.Context, local [2]uint16) ([]control.HostPort, error) {
	seen := map[control.HostPort]bool{}
	for _, proto := range [...]uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP} {
		note := func(s socket) {
			if s.local.Port() != 0 {
				seen[control.HostPort{Proto: proto, Port: s.local.Port()}] = true
			}
		}
		for _, q := range [...]query{
			{proto: proto, states: unconnected},
			{proto: proto, states: ^unconnected, ports: portOutside(local)},
		} {
			if err := l.sockets(ctx, q, note); err != nil {
				return nil, err
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b control.HostPort) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
	}), nil
}
