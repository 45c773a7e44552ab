// SPDX-License-Identifier: Apache-2.0

package container

import (
	"net/netip"
	"testing"

	"github.com/vethway/vethway/control/api"
)

func TestPorts(t *testing.T) {
	on := func(addr string, ports ...string) (list []api.PortBinding) {
		for _, p := range ports {
			list = append(list, api.PortBinding{HostIP: netip.MustParseAddr(addr), HostPort: p})
		}
		return list
	}
	for name, c := range map[string]struct {
		ports map[string][]api.PortBinding
		want  string
	}{
		"none": {nil, ""},
		"one":  {map[string][]api.PortBinding{"80/tcp": on("0.0.0.0", "8080")}, "0.0.0.0:8080->80/tcp"},
		"both families": {
			map[string][]api.PortBinding{"80/tcp": append(on("::", "8080"), on("0.0.0.0", "8080")...)},
			"0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
		},
		"a range": {
			map[string][]api.PortBinding{
				"9/tcp": on("127.0.0.1", "99"), "10/tcp": on("127.0.0.1", "100"), "11/tcp": on("127.0.0.1", "101"), "12/udp": on("127.0.0.1", "102"),
			},
			"127.0.0.1:99-101->9-11/tcp, 127.0.0.1:102->12/udp",
		},
		"several to one": {map[string][]api.PortBinding{"80/tcp": on("0.0.0.0", "8081", "8080")}, "0.0.0.0:8080->80/tcp, 0.0.0.0:8081->80/tcp"},
		"gaps": {
			map[string][]api.PortBinding{"80/tcp": on("0.0.0.0", "8080"), "81/tcp": on("0.0.0.0", "8082"), "83/tcp": on("0.0.0.0", "8083")},
			"0.0.0.0:8080->80/tcp, 0.0.0.0:8082->81/tcp, 0.0.0.0:8083->83/tcp",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var ct api.Container
			ct.NetworkSettings.Ports = c.ports
			if got := ports(ct); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
