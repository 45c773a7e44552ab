// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// span is a run of published ports: as many host ports as container ports, from these on.
type span struct {
	addr            netip.Addr
	protocol        string
	host, container int
	length          int
}

// ports lists published ports in Docker's way, neighbours as a range: 0.0.0.0:8080-8082->80-82/tcp.
func ports(ct api.Container) string {
	var spans []span
	for target, bindings := range ct.NetworkSettings.Ports {
		port, protocol, _ := strings.Cut(target, "/")
		for _, b := range bindings {
			s := span{addr: b.HostIP, protocol: protocol, length: 1}
			// The daemon sends numbers; anything else would be shown as port 0.
			s.container, _ = strconv.Atoi(port)
			s.host, _ = strconv.Atoi(b.HostPort)
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.host, b.host))
	})
	var texts []string
	for _, s := range join(spans) {
		texts = append(texts, s.String())
	}
	return strings.Join(texts, ", ")
}

// join makes one span of those that continue each other.
func join(spans []span) []span {
	var joined []span
	for _, s := range spans {
		if len(joined) > 0 && joined[len(joined)-1].continuedBy(s) {
			joined[len(joined)-1].length++
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}

func (s span) continuedBy(next span) bool {
	return s.addr == next.addr && s.protocol == next.protocol && s.host+s.length == next.host && s.container+s.length == next.container
}

func (s span) String() string {
	addr := s.addr.String()
	if s.addr.Is6() {
		addr = "[" + addr + "]"
	}
	return fmt.Sprintf("%s:%s->%s/%s", addr, numbers(s.host, s.length), numbers(s.container, s.length), s.protocol)
}

func numbers(first, length int) string {
	if length == 1 {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d-%d", first, first+length-1)
}
