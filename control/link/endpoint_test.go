// SPDX-License-Identifier: Apache-2.0

package link

import (
	"testing"

	"github.com/vethway/vethway/control"
)

func TestAttachTwoContainers(t *testing.T) {
	l := newLab(t)
	l.bridge(bridgeSpec())
	ns2, e2 := l.container(2)
	ns3, _ := l.container(3)
	l.routes(e2, control.DefaultRoutes{
		Gateway4: gateway4.Addr(), Gateway6: gateway6.Addr(), Interface4: "eth0", Interface6: "eth0",
	})
	l.ping(ns2, addr4(3).Addr(), addr6(3).Addr(), gateway4.Addr(), gateway6.Addr())
	l.ping(ns3, addr4(2).Addr(), addr6(2).Addr())
	l.ping(l.host, addr4(2).Addr(), addr6(2).Addr())
	l.want(l.host, "ip neigh show dev "+bridgeName, "10.77.0.2 lladdr 02:42:77:00:00:02 PERMANENT", "fd00:77::2 lladdr 02:42:77:00:00:02 PERMANENT")
	l.want(l.host, "bridge fdb show dev "+e2.HostName, "02:42:77:00:00:02 master "+bridgeName+" static")
	l.want(ns2, "ip route", "default via 10.77.0.1 dev eth0 proto static")
	l.want(ns2, "ip -6 route", "default via fd00:77::1 dev eth0 proto static")
}
