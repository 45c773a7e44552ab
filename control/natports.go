// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"fmt"

	"github.com/vethway/vethway/control/api"
)

// Holds reports whether a port lies within the span. The zero value holds none.
func (s PortSpan) Holds(port uint16) bool { return s.Last != 0 && s.First <= port && port <= s.Last }

func (s PortSpan) String() string { return fmt.Sprintf("%d-%d", s.First, s.Last) }

// CheckNATPorts fails with ErrConflict if one of the ports that are set aside for NAT is published already.
func CheckNATPorts(ctx context.Context, store Store, nat PortSpan) error {
	if nat == (PortSpan{}) {
		return nil
	}
	s, err := loadState(ctx, store)
	if err != nil {
		return err
	}
	for _, c := range s.sortedContainers() {
		for _, p := range c.Ports {
			if first := max(p.HostPort, nat.First); first <= min(p.HostPort+p.More, nat.Last) {
				return api.Errorf(api.Conflict, "port %d/%s, which container %s publishes, is one of the NAT ports %s",
					first, p.Protocol, c.Name, nat).
					WithHint("choose other NAT ports, or start without and unpublish it: vethway port unpublish %s", c.Name)
			}
		}
	}
	return nil
}

// CheckHostRange fails with ErrConflict if the host's own sockets may choose one of the ports that are set aside for NAT:
// the answers could be either's.
func CheckHostRange(facts HostFacts, nat PortSpan) error {
	own := PortSpan{facts.PortRange[0], facts.PortRange[1]}
	reserved := func(port uint16) bool {
		for _, span := range facts.ReservedPorts {
			if span.Holds(port) {
				return true
			}
		}
		return false
	}
	for port := int(nat.First); port <= int(nat.Last); port++ {
		if own.Holds(uint16(port)) && !reserved(uint16(port)) {
			return api.Errorf(api.Conflict, "of the NAT ports %s, the host's own sockets may choose %d: "+
				"net.ipv4.ip_local_port_range is %s", nat, port, own).
				WithHint("choose ports beside that range, or reserve them: sysctl net.ipv4.ip_local_reserved_ports=%s", nat)
		}
	}
	return nil
}
