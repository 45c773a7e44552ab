// SPDX-License-Identifier: Apache-2.0

package controltest

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vethway/vethway/control"
)

// What a test does to the host behind the engine's back, and what it sees there.

// AddNamespace makes a network namespace.
func (l *Links) AddNamespace(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextCookie++
	l.namespaces[path] = &namespace{cookie: l.nextCookie}
}

// RemoveNamespace ends a network namespace, and with it the veth pairs that have an end in it.
func (l *Links) RemoveNamespace(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.namespaces, path)
	maps.DeleteFunc(l.endpoints, func(_ string, e *endpoint) bool { return e.spec.Namespace.Path == path })
	l.changed()
}

// RemoveLink removes a link by hand.
func (l *Links) RemoveLink(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.bridges, name)
	if name == control.DetourLink {
		l.detour = 0
	}
	if name == control.CutterLink {
		l.cutter = 0
	}
	if e := l.endpoints[name]; e != nil {
		l.removed(e)
		delete(l.endpoints, name)
	}
	l.changed()
}

// AddStray makes a link that is ours by name, but that nobody asked for.
func (l *Links) AddStray(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(name, control.LinkPrefix+"-") {
		l.bridges[name] = &bridge{index: l.newIndex()}
	} else {
		l.endpoints[name] = &endpoint{index: l.newIndex()}
	}
	l.changed()
}

// Listen has a process bind a port.
func (l *Links) Listen(proto uint8, port uint16, pid int, command string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owners[control.HostPort{Proto: proto, Port: port}] = control.PortOwner{PID: pid, Command: command}
}

// ChangeHost changes what the engine does not own.
func (l *Links) ChangeHost(change func(*control.HostFacts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.facts)
	l.changed()
}

// changed tells the watchers.
func (l *Links) changed() {
	for _, ch := range l.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Names lists the links that are ours by name, sorted.
func (l *Links) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(union(l.bridges, l.endpoints)))
}

func union(a map[string]*bridge, b map[string]*endpoint) map[string]bool {
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}

// Calls says how often an operation was called.
func (l *Links) Calls(op string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[op]
}

// Violations lists breaches of the contract of Links.
func (l *Links) Violations() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.violations)
}

// Routes returns the default routes of a namespace.
func (l *Links) Routes(path string) control.DefaultRoutes {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ns := l.namespaces[path]; ns != nil {
		return ns.routes
	}
	return control.DefaultRoutes{}
}

// Describe writes down every link, one a line, sorted, without indexes.
func (l *Links) Describe() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for name, b := range l.bridges {
		lines = append(lines, fmt.Sprintf("bridge %s mac %s mtu %d addrs %v", name, b.spec.MAC, b.spec.MTU, b.spec.Addrs))
	}
	for name, e := range l.endpoints {
		lines = append(lines, fmt.Sprintf("veth %s on %s in %s as %s mac %s mtu %d addrs %v up %v",
			name, e.spec.Bridge, e.spec.Namespace.Path, e.spec.ContainerName, e.spec.MAC, e.spec.MTU, e.spec.Addrs, e.up))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Endpoint returns what a host end was last made as, and its index.
func (l *Links) Endpoint(hostName string) (spec control.EndpointSpec, index int, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.endpoints[hostName]; e != nil {
		return e.spec, e.index, e.up
	}
	return control.EndpointSpec{}, 0, false
}

// Bridge returns a bridge's addresses and index.
func (l *Links) Bridge(name string) (addrs []netip.Prefix, index int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.bridges[name]; b != nil {
		return b.spec.Addrs, b.index
	}
	return nil, 0
}

// PacketSizes describes what bridges send, and containers receive and send.
func (l *Links) PacketSizes() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, b := range l.bridges {
		lines = append(lines, fmt.Sprintf("bridge %v", b.spec.Send))
	}
	for _, e := range l.endpoints {
		lines = append(lines, fmt.Sprintf("container %v %v", e.spec.Receive, e.spec.Send))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}
