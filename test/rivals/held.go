// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"fmt"

	"github.com/vethway/vethway/test/netlab"
)

// UserlandProxy says what of Docker's userland proxy there is.
type UserlandProxy struct {
	// On is Docker's default: what rules cannot do (the host by 127.0.0.1 and
	// ::1, a container by its own or its neighbour's published port) goes
	// through a proxy in user space. Without it, hairpin rules do most of that.
	On bool
	// Program is what runs. Without one an equivalent runs in this process.
	Program ProxyProgram
	// RulesOnly leaves the sockets away that hold ports, and the proxies with
	// them: 65,000 ports would be 130,000 processes. The rules are the same.
	RulesOnly bool
}

// holder is what holds a published port on the host.
type holder interface{ close() }

// held are the published ports that the host's sockets or proxies hold.
type held struct {
	proxy UserlandProxy
	ports map[Port]holder
}

// nothing holds a port whose sockets are left away.
type nothing struct{}

func (nothing) close() {}

func newHeld(proxy UserlandProxy) held { return held{proxy, map[Port]holder{}} }

// hold takes a port; it fails when the port is taken.
func (h *held) hold(ctx context.Context, host *netlab.Namespace, c Container, p Port) error {
	if h.ports[p] != nil {
		return fmt.Errorf("port %s is already allocated", p)
	}
	var taken holder = nothing{}
	var err error
	switch {
	case h.proxy.RulesOnly:
	case h.proxy.On && len(h.proxy.Program.Command) > 0:
		taken, err = startProxies(ctx, host, h.proxy.Program, c, p)
	default:
		taken, err = newProxy(ctx, host, c, p, h.proxy.On)
	}
	if err != nil {
		return err
	}
	h.ports[p] = taken
	return nil
}

// holdAll takes the ports of a spec.
func (h *held) holdAll(ctx context.Context, host *netlab.Namespace, spec Spec) error {
	for _, n := range spec.Networks {
		for _, c := range n.Containers {
			for _, p := range c.Publish {
				if err := h.hold(ctx, host, c, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (h *held) release(p Port) {
	if taken := h.ports[p]; taken != nil {
		taken.close()
		delete(h.ports, p)
	}
}

func (h *held) releaseAll() {
	for p := range h.ports {
		h.release(p)
	}
}

// processes are those of proxies that run outside of this process.
func (h *held) processes() (pids []int) {
	for _, taken := range h.ports {
		if x, ok := taken.(proxyProcesses); ok {
			pids = append(pids, x.processes()...)
		}
	}
	return pids
}

// proxied grows with whatever the proxies do: with the nanoseconds that
// processes run, and the connections and datagrams that this one serves.
func (h *held) proxied() (uint64, error) {
	spent, err := helperTime(h.processes())
	if err != nil {
		return 0, err
	}
	n := uint64(spent)
	for _, taken := range h.ports {
		if x, ok := taken.(*proxy); ok {
			n += x.served.Load()
		}
	}
	return n, nil
}
