// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/vethway/vethway/test/netlab"
)

// Backend is the variant of the iptables binaries.
type Backend string

// The two variants.
const (
	NFT    Backend = "nft"
	Legacy Backend = "legacy"
)

// IptablesConfig says which Docker it is.
type IptablesConfig struct {
	Backend       Backend
	UserlandProxy UserlandProxy
	// PlainBridge keeps what goes from one container of a network to another
	// away from the rules: br_netfilter is off, or not loaded. Docker itself
	// loads it for what it does without the userland proxy and without ICC.
	PlainBridge bool
}

// Iptables is what Docker Engine 29 does with its iptables backend.
type Iptables struct {
	site
	cfg  IptablesConfig
	held held
}

// NewIptables makes the target; nothing happens before Setup.
func NewIptables(cfg IptablesConfig) (*Iptables, error) {
	if cfg.Backend != NFT && cfg.Backend != Legacy {
		return nil, fmt.Errorf("make iptables target: unknown backend %q", cfg.Backend)
	}
	if cfg.PlainBridge && !cfg.UserlandProxy.On {
		return nil, errors.New("make iptables target: hairpin rules need br_netfilter")
	}
	return &Iptables{cfg: cfg, held: newHeld(cfg.UserlandProxy)}, nil
}

// Name is iptables-nft or iptables-legacy, with -proxy and -plain-bridge when
// those are on.
func (t *Iptables) Name() string {
	name := "iptables-" + string(t.cfg.Backend)
	if t.cfg.UserlandProxy.On {
		name += "-proxy"
	}
	if t.cfg.PlainBridge {
		name += "-plain-bridge"
	}
	return name
}

// Setup makes networks, containers and rules.
func (t *Iptables) Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.setUp(ctx, topo, spec); err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *Iptables) setUp(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	if err := t.available(ctx, topo.Host); err != nil {
		return err
	}
	if err := t.setup(topo, spec); err != nil {
		return err
	}
	bridged := "1"
	if t.cfg.PlainBridge {
		bridged = "0"
	}
	if err := errors.Join(t.forward(), t.bridgeNetfilter(bridged)); err != nil {
		return err
	}
	if !t.cfg.UserlandProxy.On {
		if err := t.allowHairpin(); err != nil {
			return err
		}
	}
	t.onClose(func() error { return t.flush(context.WithoutCancel(ctx)) })
	for _, f := range []Family{IPv4, IPv6} {
		if err := t.restore(ctx, f, t.rules(f), false); err != nil {
			return err
		}
	}
	return t.held.holdAll(ctx, topo.Host, spec)
}

// available asks for what the rules need: not every kernel still has the tables
// of the legacy variant, and not every machine its programs.
func (t *Iptables) available(ctx context.Context, host *netlab.Namespace) error {
	const probe = "*raw\nCOMMIT\n*nat\n-A PREROUTING -m addrtype --dst-type LOCAL -j ACCEPT\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n" +
		"*filter\n-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\nCOMMIT\n"
	for _, f := range []Family{IPv4, IPv6} {
		program := t.binary(f, "-restore")
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if out, err := host.RunInput(ctx, probe, program, "-w", "--test"); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return fmt.Errorf("%w on this kernel: %s: %s", ErrUnavailable, program, strings.SplitN(strings.TrimSpace(out), "\n", 2)[0])
		}
	}
	return nil
}

// Publish adds the rules of one port, and its proxy.
func (t *Iptables) Publish(ctx context.Context, container string, p Port) error {
	if err := t.change(ctx, container, p, true); err != nil {
		return fmt.Errorf("publish %s of %s: %w", p, container, err)
	}
	return nil
}

// Unpublish deletes them.
func (t *Iptables) Unpublish(ctx context.Context, container string, p Port) error {
	if err := t.change(ctx, container, p, false); err != nil {
		return fmt.Errorf("unpublish %s of %s: %w", p, container, err)
	}
	return nil
}

func (t *Iptables) change(ctx context.Context, container string, p Port, add bool) error {
	n, c, err := t.spec.Container(container)
	if err != nil {
		return err
	}
	if add {
		if err := t.held.hold(ctx, t.topo.Host, c, p); err != nil {
			return err
		}
	} else {
		t.held.release(p)
	}
	for _, f := range []Family{IPv4, IPv6} {
		if rules := t.portChange(n, c, p, f, add); rules != "" {
			if err := t.restore(ctx, f, rules, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// Helpers are the processes of the userland proxy.
func (t *Iptables) Helpers() []int { return t.held.processes() }

// Reach is the host's address.
func (t *Iptables) Reach(_ string, p Port, f Family) (netip.AddrPort, error) {
	return t.hostReach(p, f)
}

// Access is by the host's addresses, for part of the places through the proxy.
func (t *Iptables) Access(from Place, container string, p Port, f Family) (Access, error) {
	return t.dockerAccess(from, container, p, f, t.cfg.UserlandProxy)
}

// Close removes rules, containers and bridges.
func (t *Iptables) Close() error {
	t.held.releaseAll()
	return t.site.Close()
}

func (t *Iptables) binary(f Family, suffix string) string {
	if f == IPv6 {
		return "ip6tables-" + string(t.cfg.Backend) + suffix
	}
	return "iptables-" + string(t.cfg.Backend) + suffix
}

func (t *Iptables) restore(ctx context.Context, f Family, rules string, keep bool) error {
	// The lock of the legacy variant is one for all namespaces: wait for it.
	args := []string{"-w"}
	if keep {
		args = append(args, "--noflush")
	}
	_, err := t.topo.Host.RunInput(ctx, rules, t.binary(f, "-restore"), args...)
	return err
}

func (t *Iptables) flush(ctx context.Context) error {
	const empty = "*raw\nCOMMIT\n*nat\nCOMMIT\n*filter\n:FORWARD ACCEPT\nCOMMIT\n"
	return errors.Join(t.restore(ctx, IPv4, empty, false), t.restore(ctx, IPv6, empty, false))
}
