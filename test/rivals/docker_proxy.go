// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
)

// maxProxies is how many ports get processes: each of these takes a megabyte.
const maxProxies = 300

// DockerProxy is Docker with --iptables=false: published ports are served by
// the userland proxy alone, one process for each port and family. Whatever a
// client connects to, the container sees its gateway.
type DockerProxy struct {
	site
	held held
}

// NewDockerProxy makes the target; nothing happens before Setup.
func NewDockerProxy(program ProxyProgram) (*DockerProxy, error) {
	if len(program.Command) == 0 {
		return nil, errors.New("make docker-proxy target: no program given")
	}
	return &DockerProxy{held: newHeld(UserlandProxy{On: true, Program: program})}, nil
}

// Name is "docker-proxy".
func (t *DockerProxy) Name() string { return "docker-proxy" }

// Setup makes networks and containers, and starts proxies.
func (t *DockerProxy) Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setUp(ctx, topo, spec); err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *DockerProxy) setUp(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if n := spec.ports(); n > maxProxies {
		return fmt.Errorf("%d ports would be %d processes: %w", n, 2*n, ErrUnavailable)
	}
	if err := t.setup(topo, spec); err != nil {
		return err
	}
	if err := t.bridgeNetfilter("0"); err != nil {
		return err
	}
	return t.held.holdAll(ctx, topo.Host, spec)
}

// Publish starts the proxies of one port.
func (t *DockerProxy) Publish(ctx context.Context, container string, p Port) error {
	_, c, err := t.spec.Container(container)
	if err == nil {
		err = t.held.hold(ctx, t.topo.Host, c, p)
	}
	if err != nil {
		return fmt.Errorf("publish %s of %s: %w", p, container, err)
	}
	return nil
}

// Unpublish ends them.
func (t *DockerProxy) Unpublish(_ context.Context, _ string, p Port) error {
	t.held.release(p)
	return nil
}

// Reach is the host's address.
func (t *DockerProxy) Reach(_ string, p Port, f Family) (netip.AddrPort, error) {
	return t.hostReach(p, f)
}

// Access is by the host's addresses.
func (t *DockerProxy) Access(from Place, container string, p Port, f Family) (Access, error) {
	a, err := t.hostAccess(from, container, p, f)
	a.Peer = t.gateway(container, f)
	return a, err
}

// Helpers are the proxies.
func (t *DockerProxy) Helpers() []int { return t.held.processes() }

// Close ends proxies, and removes containers and bridges.
func (t *DockerProxy) Close() error {
	t.held.releaseAll()
	return t.site.Close()
}

// Counters reads what the proxies have done, and what the host routed and
// tracked, which is nothing.
func (t *DockerProxy) Counters(context.Context) (Counters, error) {
	c := Counters{}
	err := errors.Join(t.routed(c), t.count(c, &t.held))
	if err != nil {
		return nil, fmt.Errorf("read counters of %s: %w", t.Name(), err)
	}
	return c, nil
}

// Proof shows that the proxies worked, and that the host neither routed nor
// tracked anything.
func (t *DockerProxy) Proof(ctx context.Context) (string, error) {
	after, err := t.Counters(ctx)
	if err != nil {
		return "", err
	}
	shown, err := t.worked().check(Counters{}, after)
	if err != nil {
		return "", fmt.Errorf("prove %s: %w", t.Name(), err)
	}
	return shown + "; " + t.held.proxy.Program.About, nil
}

func (t *DockerProxy) worked() evidence {
	return evidence{
		moved: []string{"proxied"}, none: []string{"tracked"},
		still: []string{by(IPv4, "forwarded"), by(IPv6, "forwarded")},
	}
}

func (t *DockerProxy) evidence(w Way, _ Family) (evidence, error) {
	if w == Outward || w == Inside {
		return evidence{}, fmt.Errorf("nothing proxies what goes %s", w)
	}
	return t.worked(), nil
}
