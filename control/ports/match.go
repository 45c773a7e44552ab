// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"cmp"

	"github.com/vethway/vethway/control/api"
)

// Match tells whether a spec, as given to unpublish, covers a binding: it does unless it says something else.
func Match(s api.PublishSpec, b Binding) bool {
	if cmp.Or(s.Protocol, api.TCP) != b.Protocol || s.HostIP.IsValid() && s.HostIP != b.HostIP {
		return false
	}
	at := int(b.ContainerPort) - int(s.ContainerPort)
	containers := span(s.ContainerPort, s.ContainerPortEnd)
	if s.ContainerPort != 0 && (at < 0 || at >= containers) {
		return false
	}
	if s.HostPort == 0 {
		return true
	}
	hosts := span(s.HostPort, s.HostPortEnd)
	if s.ContainerPort != 0 && containers == hosts {
		return int(b.HostPort) == int(s.HostPort)+at
	}
	return int(b.HostPort) >= int(s.HostPort) && int(b.HostPort) < int(s.HostPort)+hosts
}

// Index finds bindings without looking at all of them: a request may withdraw ten thousand of ten thousand.
type Index struct {
	all         []Binding
	byHost      map[slotKey][]Binding // by host port
	byContainer map[slotKey][]Binding // by container port
}

// NewIndex makes an index of bindings.
func NewIndex(all []Binding) *Index {
	x := &Index{all: all, byHost: make(map[slotKey][]Binding, len(all)), byContainer: make(map[slotKey][]Binding, len(all))}
	for _, b := range all {
		host, container := slotKey{b.Protocol, b.HostPort}, slotKey{b.Protocol, b.ContainerPort}
		x.byHost[host] = append(x.byHost[host], b)
		x.byContainer[container] = append(x.byContainer[container], b)
	}
	return x
}

// Match returns the bindings that a spec covers.
func (x *Index) Match(s api.PublishSpec) []Binding {
	var found []Binding
	for _, b := range x.candidates(s) {
		if Match(s, b) {
			found = append(found, b)
		}
	}
	return found
}

// candidates are all bindings that a spec may cover, and as few others as that takes little effort to tell.
func (x *Index) candidates(s api.PublishSpec) []Binding {
	by, first, last := x.byHost, s.HostPort, s.HostPortEnd
	if first == 0 {
		by, first, last = x.byContainer, s.ContainerPort, s.ContainerPortEnd
	}
	n := span(first, last)
	if first == 0 || n > len(x.all) {
		return x.all
	}
	protocol := cmp.Or(s.Protocol, api.TCP)
	if n == 1 {
		return by[slotKey{protocol, first}]
	}
	var some []Binding
	for i := range n {
		some = append(some, by[slotKey{protocol, first + uint16(i)}]...)
	}
	return some
}
