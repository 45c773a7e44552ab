// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// container is a container's open network namespace. It is closed after each operation: an open one would keep alive
// a namespace whose container has gone.
type container struct {
	ns *namespace
	h  *netlink.Handle
}

func (l *Links) openContainer(ref control.NamespaceRef) (*container, error) {
	ns, err := l.reopen(ref)
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.fd()), unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("open rtnetlink in %s: %w", ref.Path, err)
	}
	return &container{ns: ns, h: h}, nil
}

func (c *container) Close() {
	c.h.Close()
	c.ns.Close()
}

// ensureInterface brings the container's end into the wanted state, and reports its name and whether neighbours have
// something new to learn.
func (c *container) ensureInterface(ctx context.Context, d device, e control.EndpointSpec, before applied) (string, bool, error) {
	if err := c.ensureLoopback(); err != nil {
		return "", false, err
	}
	if err := d.ensureName(e.ContainerName); err != nil {
		return "", false, err
	}
	name := d.name()
	newMAC := d.link.Attrs().HardwareAddr.String() != e.MAC.String()
	if err := join(d.ensureBasics(e.MAC, e.MTU), d.ensurePacketSizes(e.Send, e.Receive)); err != nil {
		return "", false, err
	}
	if err := c.ns.do(func() error { return applySettings(interfaceSettings(name, e.IPv6)) }); err != nil {
		return "", false, err
	}
	newAddr, err := d.ensureAddrs(ctx, e.Addrs, before.addrs)
	if err != nil {
		return "", false, err
	}
	if err := d.ensureUp(); err != nil {
		return "", false, err
	}
	if newAddr {
		if err := d.awaitLocal(ctx, e.Addrs); err != nil {
			return "", false, err
		}
	}
	return name, newMAC || newAddr, d.ensureConnected(ctx, e.Addrs)
}

// ensureLoopback brings lo up, without which a container cannot reach its own addresses.
func (c *container) ensureLoopback() error {
	lo, err := c.h.LinkByIndex(1)
	if notFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up the loopback interface: %w", err)
	}
	return device{c.h, lo}.ensureUp()
}

func (d *device) ensureName(want string) error {
	if want == "" || d.name() == want {
		return nil
	}
	// Up to Linux 6.1 an interface must be down to be renamed.
	if err := join(d.h.LinkSetDown(d.link), d.h.LinkSetName(d.link, want)); err != nil {
		return join(fmt.Errorf("rename %s to %s: %w", d.name(), want, err), d.h.LinkSetUp(d.link))
	}
	link, err := d.h.LinkByIndex(d.link.Attrs().Index)
	if err != nil {
		return fmt.Errorf("look up %s: %w", want, err)
	}
	d.link = link
	return nil
}

// interfaceSettings keep the container's addresses and routes to what we give it: no router may add any, and what is
// configured must work at once.
func interfaceSettings(name string, ipv6 bool) []setting {
	if !ipv6 {
		off := conf6(name, "disable_ipv6", "1")
		off.optional = true
		return []setting{off}
	}
	return []setting{
		conf6(name, "accept_dad", "0"),
		conf6(name, "accept_ra", "0"),
		conf6(name, "disable_ipv6", "0"),
	}
}
