// SPDX-License-Identifier: Apache-2.0

package controltest

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vethway/vethway/control"
)

// Links is a kernel without a kernel. Its methods may be called concurrently.
type Links struct {
	*Faults
	mu         sync.Mutex
	nextIndex  int
	nextCookie uint64
	bridges    map[string]*bridge
	endpoints  map[string]*endpoint
	namespaces map[string]*namespace
	facts      control.HostFacts
	owners     map[control.HostPort]control.PortOwner
	watchers   []chan struct{}
	detour     int // ifindex; 0: there is none
	cutter     int // the same
	cuts       []control.Cut
	calls      map[string]int
	violations []string

	// Attached tells whether the programs are attached to an interface; set by NewDataplane.
	attached func(index int) bool
}

type bridge struct {
	index int
	spec  control.BridgeSpec
}

type endpoint struct {
	index int
	up    bool
	spec  control.EndpointSpec // with the name that was chosen
}

type namespace struct {
	cookie uint64
	routes control.DefaultRoutes
}

var _ control.Links = (*Links)(nil)

// NewLinks makes a host with one uplink and no containers.
func NewLinks(faults *Faults) *Links {
	return &Links{
		Faults: faults, nextIndex: 10, nextCookie: 100,
		bridges: map[string]*bridge{}, endpoints: map[string]*endpoint{}, namespaces: map[string]*namespace{},
		owners: map[control.HostPort]control.PortOwner{}, calls: map[string]int{},
		facts: control.HostFacts{
			Uplinks: []control.UplinkFacts{{
				Name: "eth0", Index: 2, Ethernet: true, MTU: 1500, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")},
			}},
			Addrs:         []control.HostAddr{{Prefix: netip.MustParsePrefix("192.0.2.2/24"), Interface: "eth0"}},
			Routes:        []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			PortRange:     [2]uint16{32768, 60999},
			ReservedPorts: []control.PortSpan{{First: 32768, Last: 32769}},
		},
		attached: func(int) bool { return true },
	}
}

// begin notes a call and locks.
func (l *Links) begin(op string) func() {
	l.mu.Lock()
	l.calls[op]++
	return l.mu.Unlock
}

// do runs an operation under the lock, with faults.
func (l *Links) do(ctx context.Context, op string, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.run(op, func() error {
		defer l.begin(op)()
		return fn()
	})
}

// EnsureBridge implements control.Links.
func (l *Links) EnsureBridge(ctx context.Context, b control.BridgeSpec) (info control.BridgeInfo, err error) {
	err = l.do(ctx, "EnsureBridge", func() error {
		if !strings.HasPrefix(b.Name, control.LinkPrefix+"-") || len(b.Name) > 15 || len(b.MAC) != 6 || b.MTU == 0 {
			return l.violation("bridge %+v", b)
		}
		have := l.bridges[b.Name]
		if have == nil {
			have = &bridge{index: l.newIndex()}
			l.bridges[b.Name] = have
		}
		have.spec = b
		info = control.BridgeInfo{Index: have.index, MAC: b.MAC}
		return nil
	})
	return info, err
}

// EnsureEndpoint implements control.Links.
func (l *Links) EnsureEndpoint(ctx context.Context, e control.EndpointSpec) (info control.EndpointInfo, err error) {
	err = l.do(ctx, "EnsureEndpoint", func() error {
		ns := l.namespaces[e.Namespace.Path]
		if ns == nil || ns.cookie != e.Namespace.Cookie {
			return fmt.Errorf("endpoint %s: %w", e.HostName, control.ErrNamespaceGone)
		}
		if l.bridges[e.Bridge] == nil {
			return fmt.Errorf("endpoint %s: bridge %s does not exist", e.HostName, e.Bridge)
		}
		have := l.endpoints[e.HostName]
		if have == nil {
			if e.ContainerName != "" && l.nameTaken(e) {
				return fmt.Errorf("endpoint %s: %s: %w", e.HostName, e.ContainerName, errExist)
			}
			have = &endpoint{index: l.newIndex()}
			l.endpoints[e.HostName] = have
		}
		chosen := have.spec.ContainerName
		have.spec = e
		for n := 0; have.spec.ContainerName == ""; n++ {
			have.spec.ContainerName = chosen
			if chosen != "" {
				break
			}
			have.spec.ContainerName = fmt.Sprintf("eth%d", n)
			if l.nameTaken(have.spec) {
				have.spec.ContainerName = ""
			}
		}
		info = control.EndpointInfo{HostIndex: have.index, ContainerName: have.spec.ContainerName}
		return nil
	})
	return info, err
}

// nameTaken tells whether another endpoint of the container has the interface name.
func (l *Links) nameTaken(e control.EndpointSpec) bool {
	for name, other := range l.endpoints {
		if name != e.HostName && other.spec.Namespace == e.Namespace && other.spec.ContainerName == e.ContainerName {
			return true
		}
	}
	return false
}

// ActivateEndpoint implements control.Links. An endpoint that is brought up before the programs are attached is a
// violation.
func (l *Links) ActivateEndpoint(ctx context.Context, e control.EndpointSpec) error {
	return l.do(ctx, "ActivateEndpoint", func() error {
		have := l.endpoints[e.HostName]
		if have == nil {
			return fmt.Errorf("activate %s: it does not exist", e.HostName)
		}
		if !l.attached(have.index) {
			return l.violation("%s brought up without programs", e.HostName)
		}
		have.up = true
		return nil
	})
}

// SetDefaultRoutes implements control.Links.
func (l *Links) SetDefaultRoutes(ctx context.Context, ref control.NamespaceRef, r control.DefaultRoutes) error {
	return l.do(ctx, "SetDefaultRoutes", func() error {
		ns := l.namespaces[ref.Path]
		if ns == nil || ns.cookie != ref.Cookie {
			return fmt.Errorf("default routes of %s: %w", ref.Path, control.ErrNamespaceGone)
		}
		for _, name := range []string{r.Interface4, r.Interface6} {
			if name != "" && !l.nameTaken(control.EndpointSpec{Namespace: ref, ContainerName: name}) {
				return fmt.Errorf("default route of %s: no interface %s", ref.Path, name)
			}
		}
		ns.routes = r
		return nil
	})
}

// RemoveEndpoint implements control.Links.
func (l *Links) RemoveEndpoint(ctx context.Context, e control.EndpointSpec) error {
	return l.do(ctx, "RemoveEndpoint", func() error {
		if have := l.endpoints[e.HostName]; have != nil {
			l.removed(have)
		}
		delete(l.endpoints, e.HostName)
		return nil
	})
}

// removed takes away the routes that lead by an endpoint, as the kernel does.
func (l *Links) removed(e *endpoint) {
	ns := l.namespaces[e.spec.Namespace.Path]
	if ns == nil || ns.cookie != e.spec.Namespace.Cookie {
		return
	}
	if ns.routes.Interface4 == e.spec.ContainerName {
		ns.routes.Interface4, ns.routes.Gateway4 = "", netip.Addr{}
	}
	if ns.routes.Interface6 == e.spec.ContainerName {
		ns.routes.Interface6, ns.routes.Gateway6 = "", netip.Addr{}
	}
}

// RemoveBridge implements control.Links.
func (l *Links) RemoveBridge(ctx context.Context, name string) error {
	return l.do(ctx, "RemoveBridge", func() error {
		delete(l.bridges, name)
		return nil
	})
}

// EnsureDetour implements control.Links.
func (l *Links) EnsureDetour(ctx context.Context) (info control.DetourInfo, err error) {
	err = l.do(ctx, "EnsureDetour", func() error {
		if l.detour == 0 {
			l.detour = l.newIndex()
		}
		info = control.DetourInfo{
			Index: l.detour, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Namespace: control.NamespaceRef{Path: "detour", Cookie: uint64(l.detour)},
		}
		return nil
	})
	return info, err
}

// RemoveDetour implements control.Links.
func (l *Links) RemoveDetour(ctx context.Context) error {
	return l.do(ctx, "RemoveDetour", func() error {
		l.detour = 0
		return nil
	})
}

// EnsureCutter implements control.Links.
func (l *Links) EnsureCutter(ctx context.Context, cuts []control.Cut) (info control.CutterInfo, err error) {
	err = l.do(ctx, "EnsureCutter", func() error {
		if l.cutter == 0 {
			l.cutter = l.newIndex()
		}
		l.cuts = slices.Clone(cuts)
		info = control.CutterInfo{Index: l.cutter, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
		return nil
	})
	return info, err
}

// Cuts are those of the last EnsureCutter.
func (l *Links) Cuts() []control.Cut {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.cuts)
}

// Owned implements control.Links.
func (l *Links) Owned(ctx context.Context) (names []string, err error) {
	err = l.do(ctx, "Owned", func() error {
		names = slices.AppendSeq(slices.Collect(maps.Keys(l.bridges)), maps.Keys(l.endpoints))
		if l.detour != 0 {
			names = append(names, control.DetourLink)
		}
		if l.cutter != 0 {
			names = append(names, control.CutterLink)
		}
		return nil
	})
	return names, err
}

// Host implements control.Links.
func (l *Links) Host(ctx context.Context) (facts control.HostFacts, err error) {
	err = l.do(ctx, "Host", func() error {
		facts = l.facts
		facts.Locals = slices.Clone(facts.Locals)
		for _, b := range l.bridges {
			for _, a := range b.spec.Addrs {
				facts.Locals = append(facts.Locals, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
			}
		}
		slices.SortFunc(facts.Locals, netip.Prefix.Compare)
		facts.Bound = slices.Collect(maps.Keys(l.owners))
		return nil
	})
	return facts, err
}

// HostPorts implements control.Links.
func (l *Links) HostPorts(ctx context.Context, facts *control.HostFacts) error {
	return l.do(ctx, "HostPorts", func() error {
		facts.PortRange, facts.ReservedPorts = l.facts.PortRange, l.facts.ReservedPorts
		facts.Bound = slices.Collect(maps.Keys(l.owners))
		return nil
	})
}

// Watch implements control.Links.
func (l *Links) Watch(ctx context.Context) (<-chan struct{}, error) {
	ch := make(chan struct{}, 1)
	err := l.do(ctx, "Watch", func() error {
		l.watchers = append(l.watchers, ch)
		return nil
	})
	return ch, err
}

// PortOwner implements control.Links.
func (l *Links) PortOwner(ctx context.Context, proto uint8, _ netip.Addr, port uint16) (o control.PortOwner, ok bool, err error) {
	err = l.do(ctx, "PortOwner", func() error {
		o, ok = l.owners[control.HostPort{Proto: proto, Port: port}]
		return nil
	})
	return o, ok, err
}

// OpenNamespace implements control.Links: a reference is the namespace's path.
func (l *Links) OpenNamespace(ctx context.Context, ref string) (r control.NamespaceRef, err error) {
	err = l.do(ctx, "OpenNamespace", func() error {
		if ref == "host" {
			return control.ErrHostNamespace
		}
		ns := l.namespaces[ref]
		if ns == nil {
			return fmt.Errorf("open network namespace %s: %w", ref, control.ErrNamespaceGone)
		}
		r = control.NamespaceRef{Path: ref, Cookie: ns.cookie}
		return nil
	})
	return r, err
}

func (l *Links) newIndex() int {
	l.nextIndex++
	return l.nextIndex
}

var errExist = fmt.Errorf("interface: %w", fs.ErrExist)

func (l *Links) violation(format string, args ...any) error {
	err := fmt.Errorf("contract broken: "+format, args...)
	l.violations = append(l.violations, err.Error())
	return err
}
