// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/loader/excursion"
)

// annex is a network namespace behind a veth pair of the host's, where the kernel does to packets what it does not do for programs, and sends
// them back by the way they came:
//
//	host                              namespace
//	vwf0 (no address) ─────────────── eth0 ──┐ routes: back to vwf0
//	                  ◄─────────────────────┘
//
// Nobody but the packet programs sends anything there. The namespace is kept by a bind mount: it outlives the process, and is adopted by
// the next one.
type annex struct {
	link string // the host's end
	file string // where the namespace is mounted; empty: there is none
	// settings are the namespace's, with that end.
	settings func(dev string) []setting
	// routes leads what is sent there back.
	routes func(ctx context.Context, far device) error
}

const (
	annexFar = "eth0"
	// annexMTU is the largest there is, so that nothing is refused.
	annexMTU = 65535
)

// farMAC is the far end's.
func (a annex) farMAC() net.HardwareAddr { return portMAC(a.link + " " + annexFar) }

// ensureAnnex makes or repairs an annex, and returns the index of the host's end.
func (l *Links) ensureAnnex(ctx context.Context, a annex) (int, control.NamespaceRef, error) {
	var none control.NamespaceRef
	if a.file == "" {
		return 0, none, errors.New("nobody said where its namespace is to be kept")
	}
	if err := ctx.Err(); err != nil {
		return 0, none, err
	}
	c, err := l.annexNamespace(a)
	if err != nil {
		return 0, none, err
	}
	defer c.Close()
	host, far, err := l.findPair(c, a.link)
	if err == nil && far == nil {
		host, far, err = l.createAnnex(c, a)
	}
	if err != nil {
		return 0, none, err
	}
	if err := l.repairAnnex(ctx, a, c, device{l.h, host}, device{c.h, far}); err != nil {
		return 0, none, err
	}
	return host.Attrs().Index, control.NamespaceRef{Path: a.file, Cookie: c.ns.cookie}, nil
}

// annexNamespace opens the namespace, or makes it.
func (l *Links) annexNamespace(a annex) (*container, error) {
	ns, err := openNamespace(a.file)
	if err != nil {
		// Whatever is there, it is no namespace, or none any more: after a restart of the machine, the file alone is left.
		if err := makeNamespace(a.file); err != nil {
			return nil, err
		}
		if ns, err = openNamespace(a.file); err != nil {
			return nil, fmt.Errorf("open the namespace just made: %w", err)
		}
	}
	if ns.cookie == l.ns.cookie {
		return nil, join(fmt.Errorf("%s: %w", a.file, control.ErrHostNamespace), ns.Close())
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, join(fmt.Errorf("open rtnetlink in %s: %w", a.file, err), ns.Close())
	}
	return &container{ns: ns, h: h}, nil
}

// makeNamespace makes a network namespace and mounts it on the path.
func makeNamespace(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make a directory for the namespace: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make a file for the namespace: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := excursion.IntoNew(func() error { return unix.Mount(excursion.Here, path, "", unix.MS_BIND, "") }); err != nil {
		return fmt.Errorf("keep a network namespace at %s: %w", path, err)
	}
	return nil
}

func (l *Links) createAnnex(c *container, a annex) (host, far netlink.Link, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = a.link, annexMTU, portMAC(a.link)
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerMTU = annexFar, a.farMAC(), annexMTU
	veth.PeerNamespace = netlink.NsFd(c.ns.fd())
	if err := l.h.LinkAdd(veth); err != nil {
		return nil, nil, fmt.Errorf("create veth pair: %w", err)
	}
	host, far, err = l.findPair(c, a.link)
	if err == nil && far == nil {
		err = errors.New("create veth pair: it vanished at once")
	}
	return host, far, err
}

// repairAnnex sets everything while the ends are down, if they are.
func (l *Links) repairAnnex(ctx context.Context, a annex, c *container, host, far device) error {
	if host.link.Attrs().MasterIndex != 0 {
		if err := l.h.LinkSetNoMaster(host.link); err != nil {
			return fmt.Errorf("take %s off its bridge: %w", host.name(), err)
		}
	}
	if err := join(host.ensureBasics(portMAC(a.link), annexMTU), far.ensureBasics(a.farMAC(), annexMTU)); err != nil {
		return err
	}
	if err := l.ns.do(func() error { return applySettings(annexHostSettings(a.link)) }); err != nil {
		return err
	}
	if err := c.ns.do(func() error { return applySettings(a.settings(far.name())) }); err != nil {
		return fmt.Errorf("in its namespace: %w", err)
	}
	if err := join(host.ensureUp(), far.ensureUp(), c.ensureLoopback()); err != nil {
		return err
	}
	if err := a.routes(ctx, far); err != nil {
		return fmt.Errorf("in its namespace: %w", err)
	}
	return nil
}

// annexHostSettings: the host's end is a hole that the programs send through, no interface of the host's stack.
func annexHostSettings(link string) []setting {
	off := conf6(link, "disable_ipv6", "1")
	off.optional = true
	return []setting{off, conf4(link, "forwarding", "0")}
}

// annexForwarding makes a namespace forward IPv4, and say nothing of its own accord.
func annexForwarding(dev string) []setting {
	// First, as it sets others.
	list := []setting{{path: "ipv4/ip_forward", value: "1"}}
	for _, name := range [...]string{"all", dev} {
		list = append(list,
			conf4(name, "rp_filter", "0"), conf4(name, "send_redirects", "0"), conf4(name, "accept_redirects", "0"),
			conf4(name, "accept_local", "1"), conf4(name, "forwarding", "1"), conf4(name, "log_martians", "0"))
	}
	return list
}

// annexVia4 and annexVia6 are the next hops of the routes back: addresses that nobody has, with the host end's MAC.
func annexVia4() netip.Addr { return netip.MustParseAddr("169.254.1.1") }
func annexVia6() netip.Addr { return netip.MustParseAddr("fe80::1") }

// ensureWayBack routes a prefix back to the host's end, whose MAC address it has; mtu may be 0. The kernel takes an equal neighbour or route
// for no change.
func (d device) ensureWayBack(to netip.Prefix, via netip.Addr, mac net.HardwareAddr, mtu int) error {
	index := d.link.Attrs().Index
	neigh := neighbour(index, via)
	neigh.HardwareAddr = mac
	if err := d.h.NeighSet(neigh); err != nil {
		return fmt.Errorf("add neighbour %s: %w", via, err)
	}
	route := &netlink.Route{LinkIndex: index, Gw: via.AsSlice(), Protocol: unix.RTPROT_STATIC, Dst: ipNet(to), MTU: mtu}
	route.SetFlag(netlink.FLAG_ONLINK)
	if err := d.h.RouteReplace(route); err != nil {
		return fmt.Errorf("%s via %s: %w", to, via, err)
	}
	return nil
}

// removeAnnex removes the veth pair and the namespace; what is gone already is no error.
func (l *Links) removeAnnex(ctx context.Context, a annex) error {
	return join(ctx.Err(), l.remove(a.link, "veth"), a.removeFile())
}

// removeFile lets go of the namespace, which ends with its last user.
func (a annex) removeFile() error {
	if a.file == "" {
		return nil
	}
	// Somebody may have mounted it twice.
	for {
		err := unix.Unmount(a.file, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", a.file, err)
		}
	}
	if err := os.Remove(a.file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
