// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/vethway/vethway/test/netlab"
)

// The next hop's MAC address changes while the daemon is away: flows follow as soon as the host's neighbour table does, within a second.
func TestNextHopChangesItsMAC(t *testing.T) {
	modes(t, func(l lab) {
		l.must(l.vw.Kill())
		uplink := l.topo.Uplinks[0].RemoteDev
		for i, a := range []family{ipv4(), ipv6()} {
			options := netlab.WhoAmIOptions{Source: port(a.c1, 20000), Timeout: 500 * time.Millisecond}
			exchange := func() error {
				_, err := netlab.WhoAmI(l.Context(), l.at("c1"), "udp", port(a.remote, remotePort), options)
				return err
			}
			for range 3 {
				l.must(exchange())
			}
			l.must(l.at("R").SetMAC(uplink, net.HardwareAddr{2, 0, 0, 0, 9, byte(i + 1)}))
			// What R asks for tells the host where R is now.
			l.command(l.at("R"), "ip neigh flush dev "+uplink)
			l.pings(l.at("R"), a.host)
			l.eventually(fmt.Sprintf("c1 reaches R at its new MAC address, %s", a.remote), exchange)
		}
		l.must(l.vw.Restart(l.Context()))
	})
}
