// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PortUse says for each port of TCP, of UDP and of all other protocols together what uses it.
type PortUse struct{ Array }

// PortFlows says for each such port how many sessions have it as their translated source.
type PortFlows struct{ Array }

// The PORT_* bits of bpf/lib/layout.h. The daemon is the only writer of PortPublished; PortHost is also set by the
// programs that see sockets of the host bind.
const (
	PortPublished = 1
	PortHost      = 2
)

// portsPerProtocol is the length of each of the array's three parts.
const portsPerProtocol = 1 << 16

// PortIndex is where the array has a port.
func PortIndex(proto uint8, port uint16) uint32 {
	switch proto {
	case unix.IPPROTO_TCP:
		return uint32(port)
	case unix.IPPROTO_UDP:
		return portsPerProtocol + uint32(port)
	}
	return 2*portsPerProtocol + uint32(port)
}

func portProtocol(index uint32) string {
	switch index / portsPerProtocol {
	case 0:
		return "tcp"
	case 1:
		return "udp"
	}
	return "other"
}

func portRow(index, value uint32) Row {
	return Row{
		{"port", uint16(index)},
		{"proto", portProtocol(index)},
		{"use", bitNames(value, "published", "host")},
	}
}

func portFlowsRow(index, value uint32) Row {
	return Row{
		{"port", uint16(index)},
		{"proto", portProtocol(index)},
		{"flows", value},
	}
}

// parsePortKey reads 8080/tcp; "other" stands for all protocols but TCP and UDP.
func parsePortKey(s string) (uint32, error) {
	number, name, _ := strings.Cut(s, "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q: want PORT/PROTOCOL, such as 8080/tcp", s)
	}
	if name == "other" {
		return PortIndex(unix.IPPROTO_SCTP, uint16(port)), nil
	}
	proto, err := parseProtocol(name)
	if err != nil {
		return 0, err
	}
	return PortIndex(proto, uint16(port)), nil
}
