// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/vethway/vethway/test/netlab"
)

// What the host sends to a container does not pass the bridge, unless its stack and the daemon disagree on whose the address is.
func TestHostGoesPastTheBridge(t *testing.T) {
	modes(t, func(l lab) {
		const questions = 20
		l.families("D02 D07", func(l lab, a family) {
			bridge := l.linkWith(a.gateway1).Name
			ask := func() {
				for range questions {
					l.ask(l.at("H"), "udp", port(a.host, publishedPort), netlab.WhoAmIOptions{})
					l.ask(l.at("H"), "tcp", port(a.c2, serverPort), netlab.WhoAmIOptions{})
				}
			}
			ask() // neighbour discovery is the bridge's
			before := l.sent(bridge)
			ask()
			if n := l.sent(bridge) - before; n > questions/2 {
				l.Errorf("%d packets passed the bridge, of at least %d", n, 5*questions)
			}
			l.floods(a, bridge)
		})
	})
}

// floods has the host's stack believe in another MAC address of a container than the daemon: the bridge decides, and sends it to all. The daemon
// sets the address right whenever it goes through all, so not every try need be heard.
func (l lab) floods(a family, bridge string) {
	l.Helper()
	const tries = 10
	host := l.at("H")
	defer l.command(host, "ip neigh del "+a.c2.String()+" dev "+bridge)
	ear := l.newWire("c1")
	for range tries {
		l.command(host, "ip neigh replace "+a.c2.String()+" lladdr 02:00:00:00:07:07 nud permanent dev "+bridge)
		l.sendRaw(host, a.c2, netlab.UDPPacket(port(a.gateway1, 5353), port(a.c2, 5354), []byte("for nobody")))
		if len(ear.all(200*time.Millisecond, func(ip netlab.IPInfo) bool { return ip.Dst == port(a.c2, 5354) })) > 0 {
			return
		}
	}
	l.Errorf("%d frames for an address that no container has: the neighbour heard none", tries)
}

// sent is how many packets an interface of the host has sent.
func (l lab) sent(link string) uint64 {
	l.Helper()
	var links []struct {
		Stats struct {
			TX struct{ Packets uint64 }
		} `json:"stats64"`
	}
	l.must(json.Unmarshal([]byte(l.command(l.at("H"), "ip -s -j link show dev "+link)), &links))
	return links[0].Stats.TX.Packets
}
