// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/vethway/vethway/control"
)

// kernelWait bounds the wait for what the kernel does from work queues, which takes it well below a millisecond unless the
// machine is busy.
const kernelWait = 2 * time.Second

// ActivateEndpoint brings the host's end up, puts the routes of the container's subnets back, and announces its addresses
// when neighbours may know them by another MAC. The default route is SetDefaultRoutes'.
func (l *Links) ActivateEndpoint(ctx context.Context, e control.EndpointSpec) error {
	left, err := l.activate(ctx, e)
	if err != nil {
		l.settle(e.HostName, nil)
		return fmt.Errorf("activate endpoint %s: %w", e.HostName, err)
	}
	l.settle(e.HostName, &left)
	return nil
}

func (l *Links) activate(ctx context.Context, e control.EndpointSpec) (left hostEnd, err error) {
	if err := join(ctx.Err(), checkEndpoint(e)); err != nil {
		return left, err
	}
	c, err := l.openContainer(e.Namespace)
	if err != nil {
		return left, err
	}
	defer c.Close()
	host, err := find(l.h, e.HostName, "veth")
	if err != nil {
		return left, err
	}
	bridge, err := find(l.h, e.Bridge, "bridge")
	if err != nil {
		return left, err
	}
	var peer netlink.Link
	if host != nil {
		if peer, err = l.peer(c, host); err != nil {
			return left, err
		}
	}
	if peer == nil || bridge == nil {
		return left, errors.New("the veth pair or the bridge is missing")
	}
	wasUp := device{l.h, host}.up()
	if err := join(device{l.h, host}.ensureUp(), device{c.h, peer}.ensureUp()); err != nil {
		return left, err
	}
	if err := (device{c.h, peer}).ensureConnected(ctx, e.Addrs); err != nil {
		return left, err
	}
	// Until the kernel has noticed the carrier, each of the three swallows what it is given to send.
	for _, d := range [...]device{{c.h, peer}, {l.h, bridge}} {
		if _, err := d.awaitCarrier(ctx); err != nil {
			return left, err
		}
	}
	now, err := device{l.h, host}.awaitCarrier(ctx)
	if err != nil {
		return left, err
	}
	left = hostEndOf(now)
	// Not what they happen to be, but what was asked for.
	if left.master = bridge.Attrs().Index; e.MTU > 0 {
		left.mtu = e.MTU
	}
	before := l.lastApplied(e.HostName)
	if wasUp && !before.unannounced {
		return left, nil
	}
	if err := l.announce(c, peer, e); err != nil {
		return left, err
	}
	before.unannounced = false
	l.setApplied(e.HostName, before)
	return left, nil
}

// awaitCarrier waits until the interface is up in operation: the kernel learns of a carrier from a work queue.
func (d device) awaitCarrier(ctx context.Context) (link netlink.Link, err error) {
	err = poll(ctx, func() (bool, error) {
		link, err = d.h.LinkByIndex(d.link.Attrs().Index)
		return err == nil && link.Attrs().OperState == netlink.OperUp, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s is up but has no carrier: %w", d.name(), err)
	}
	return link, nil
}

// poll asks until the answer is yes, or for kernelWait.
func poll(ctx context.Context, done func() (bool, error)) error {
	deadline := time.Now().Add(kernelWait)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("gave up after %v", kernelWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
