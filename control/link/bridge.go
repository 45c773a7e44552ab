// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// minMTU6 is the smallest MTU that IPv6 runs on (RFC 8200 section 5); below it the kernel has no IPv6 on the interface.
const minMTU6 = 1280

// EnsureBridge creates or repairs a network's bridge. An interface of another kind that has the name is ErrForeign.
func (l *Links) EnsureBridge(ctx context.Context, b control.BridgeSpec) (control.BridgeInfo, error) {
	info, err := l.ensureBridge(ctx, b)
	if err != nil {
		return control.BridgeInfo{}, fmt.Errorf("bridge %s: %w", b.Name, err)
	}
	return info, nil
}

func (l *Links) ensureBridge(ctx context.Context, b control.BridgeSpec) (control.BridgeInfo, error) {
	if err := checkBridge(b); err != nil {
		return control.BridgeInfo{}, err
	}
	link, err := find(l.h, b.Name, "bridge")
	if err != nil {
		return control.BridgeInfo{}, err
	}
	created := link == nil
	if created {
		if link, err = l.createBridge(b); err != nil {
			return control.BridgeInfo{}, err
		}
	}
	if err := l.repairBridge(ctx, device{l.h, link}, b); err != nil {
		if created {
			err = join(err, l.remove(b.Name, "bridge"))
		}
		return control.BridgeInfo{}, err
	}
	return control.BridgeInfo{Index: link.Attrs().Index, MAC: b.MAC}, nil
}

func checkBridge(b control.BridgeSpec) error {
	if err := checkOurs(b.Name); err != nil {
		return err
	}
	// Without a MAC of its own a bridge takes its lowest port's, and changes it as ports come and go.
	if len(b.MAC) != 6 || b.MAC[0]&1 != 0 {
		return fmt.Errorf("%q is not a MAC address for an interface", b.MAC)
	}
	return checkAddrs(b.Addrs, b.MTU, b.IPv6)
}

func checkAddrs(addrs []netip.Prefix, mtu int, ipv6 bool) error {
	if ipv6 && mtu > 0 && mtu < minMTU6 {
		return fmt.Errorf("MTU %d is below IPv6's minimum of %d", mtu, minMTU6)
	}
	for _, p := range addrs {
		if !p.IsValid() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			return fmt.Errorf("%v is not an interface address", p)
		}
		if p.Addr().Is6() && !ipv6 {
			return fmt.Errorf("address %s: IPv6 is off", p)
		}
	}
	return nil
}

func (l *Links) createBridge(b control.BridgeSpec) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = b.Name, b.MTU, b.MAC
	if err := l.h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create: %w", err)
	}
	link, err := find(l.h, b.Name, "bridge")
	if err == nil && link == nil {
		err = errors.New("create: it vanished at once")
	}
	return link, err
}

func (l *Links) repairBridge(ctx context.Context, d device, b control.BridgeSpec) error {
	if err := join(d.ensureBasics(b.MAC, b.MTU), d.ensurePacketSizes(b.Send, control.PacketSize{})); err != nil {
		return err
	}
	if err := l.ns.do(func() error { return l.applyBridgeSettings(b) }); err != nil {
		return err
	}
	added, err := d.ensureAddrs(ctx, b.Addrs, l.lastApplied(b.Name).addrs)
	if err != nil {
		return err
	}
	l.setApplied(b.Name, applied{addrs: slices.Clone(b.Addrs)})
	if err := d.ensureUp(); err != nil {
		return err
	}
	if added {
		if err := d.awaitLocal(ctx, b.Addrs); err != nil {
			return err
		}
	}
	return d.ensureConnected(ctx, b.Addrs)
}

// applyBridgeSettings writes IPv6's forwarding last and only if it must.
func (l *Links) applyBridgeSettings(b control.BridgeSpec) error {
	if err := applySettings(bridgeSettings(b)); err != nil || !b.IPv6 {
		return err
	}
	forwarding := conf6(b.Name, "forwarding", "1")
	if got, err := readSysctl(forwarding.path); err == nil && got == forwarding.value {
		return nil
	}
	return l.keepLearned(forwarding.apply)
}

// bridgeSettings turn forwarding on for this bridge alone: bpf_fib_lookup wants it of the interface that a packet came in
// by, and the host's own ip_forward is none of our business. IPv6's is applyBridgeSettings' own.
func bridgeSettings(b control.BridgeSpec) []setting {
	settings := []setting{conf4(b.Name, "forwarding", "1")}
	if !b.IPv6 {
		// No link-local address either: a network without IPv6 must not reach the host's services by it.
		off := conf6(b.Name, "disable_ipv6", "1")
		off.optional = true
		return append(settings, off)
	}
	return append(settings,
		conf6(b.Name, "accept_dad", "0"),
		conf6(b.Name, "accept_ra", "0"),
		conf6(b.Name, "disable_ipv6", "0"))
}

// RemoveBridge deletes the bridge; one that is gone already is no error.
func (l *Links) RemoveBridge(ctx context.Context, name string) error {
	if err := join(ctx.Err(), checkOurs(name)); err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	if err := l.remove(name, "bridge"); err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	l.forget(name)
	return nil
}

func (l *Links) lastApplied(name string) applied {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied[name]
}

func (l *Links) setApplied(name string, a applied) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied[name] = a
}

func (l *Links) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.applied, name)
}
