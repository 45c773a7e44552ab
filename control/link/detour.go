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
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// The detour is a veth pair from the host to a namespace of its own, where the kernel puts fragments in order and sends
// them back by the way they came:
//
//	host                              namespace of the detour
//	vwf0 (no address) ─────────────── eth0 ──┐ default route: back to vwf0
//	                  ◄─────────────────────┘
//
// Nobody but the packet programs sends anything there.
const (
	detourFar = "eth0"
	// detourMTU is the largest there is, so that nothing is refused, and fragments leave as large as they came.
	detourMTU = 65535
	// fragmentWait is how many seconds the namespace waits for the rest of a datagram; fragmentRoom is how many bytes of such
	// fragments it keeps, for each family.
	fragmentWait = "5"
	fragmentRoom = "4194304"
	fragmentLow  = "3145728"
)

// detourVia are the next hops of the namespace's default routes: addresses that nobody has, with the host end's MAC.
func detourVia() [2]netip.Addr {
	return [2]netip.Addr{netip.MustParseAddr("169.254.1.1"), netip.MustParseAddr("fe80::1")}
}

// EnsureDetour makes or repairs the detour. Its namespace is kept by a bind mount on Config.DetourFile: it outlives the process, and is
// adopted by the next one.
func (l *Links) EnsureDetour(ctx context.Context) (control.DetourInfo, error) {
	info, err := l.ensureDetour(ctx)
	if err != nil {
		return control.DetourInfo{}, fmt.Errorf("detour for fragments: %w", err)
	}
	return info, nil
}

func (l *Links) ensureDetour(ctx context.Context) (control.DetourInfo, error) {
	if l.detour == "" {
		return control.DetourInfo{}, errors.New("nobody said where its namespace is to be kept")
	}
	if err := ctx.Err(); err != nil {
		return control.DetourInfo{}, err
	}
	c, err := l.detourNamespace()
	if err != nil {
		return control.DetourInfo{}, err
	}
	defer c.Close()
	host, far, err := l.findPair(c, control.DetourLink)
	if err == nil && far == nil {
		host, far, err = l.createDetour(c)
	}
	if err != nil {
		return control.DetourInfo{}, err
	}
	if err := l.repairDetour(c, device{l.h, host}, device{c.h, far}); err != nil {
		return control.DetourInfo{}, err
	}
	return control.DetourInfo{
		Index: host.Attrs().Index, MAC: detourMAC(),
		Namespace: control.NamespaceRef{Path: l.detour, Cookie: c.ns.cookie},
	}, nil
}

func detourMAC() net.HardwareAddr { return portMAC(control.DetourLink + " " + detourFar) }

// detourNamespace opens the namespace, or makes it.
func (l *Links) detourNamespace() (*container, error) {
	ns, err := openNamespace(l.detour)
	if err != nil {
		// Whatever is there, it is no namespace, or none any more: after a restart of the machine, the file alone is left.
		if err := makeNamespace(l.detour); err != nil {
			return nil, err
		}
		if ns, err = openNamespace(l.detour); err != nil {
			return nil, fmt.Errorf("open the namespace just made: %w", err)
		}
	}
	if ns.cookie == l.ns.cookie {
		return nil, join(fmt.Errorf("%s: %w", l.detour, control.ErrHostNamespace), ns.Close())
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, join(fmt.Errorf("open rtnetlink in %s: %w", l.detour, err), ns.Close())
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
	result := make(chan error, 1)
	go func() {
		// A thread that cannot go back stays locked, and dies with the goroutine.
		runtime.LockOSThread()
		home, err := os.Open(currentNamespace)
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open the thread's own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			err = unix.Mount(currentNamespace, path, "", unix.MS_BIND, "")
		}
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		} else {
			err = join(err, fmt.Errorf("return to the own network namespace: %w", back))
		}
		result <- err
	}()
	if err := <-result; err != nil {
		return fmt.Errorf("make a network namespace at %s: %w", path, err)
	}
	return nil
}

func (l *Links) createDetour(c *container) (host, far netlink.Link, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = control.DetourLink, detourMTU, portMAC(control.DetourLink)
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerMTU = detourFar, detourMAC(), detourMTU
	veth.PeerNamespace = netlink.NsFd(c.ns.fd())
	if err := l.h.LinkAdd(veth); err != nil {
		return nil, nil, fmt.Errorf("create veth pair: %w", err)
	}
	host, far, err = l.findPair(c, control.DetourLink)
	if err == nil && far == nil {
		err = errors.New("create veth pair: it vanished at once")
	}
	return host, far, err
}

// repairDetour sets everything while the ends are down, if they are.
func (l *Links) repairDetour(c *container, host, far device) error {
	if host.link.Attrs().MasterIndex != 0 {
		if err := l.h.LinkSetNoMaster(host.link); err != nil {
			return fmt.Errorf("take %s off its bridge: %w", host.name(), err)
		}
	}
	if err := join(host.ensureBasics(portMAC(control.DetourLink), detourMTU), far.ensureBasics(detourMAC(), detourMTU)); err != nil {
		return err
	}
	if err := l.ns.do(func() error { return applySettings(detourHostSettings()) }); err != nil {
		return err
	}
	if err := c.ns.do(func() error { return applySettings(detourSettings(far.name())) }); err != nil {
		return fmt.Errorf("in its namespace: %w", err)
	}
	if err := join(host.ensureUp(), far.ensureUp(), c.ensureLoopback()); err != nil {
		return err
	}
	for _, via := range detourVia() {
		if err := far.ensureWayBack(via); err != nil {
			return fmt.Errorf("in its namespace: %w", err)
		}
	}
	return nil
}

// ensureWayBack: the kernel takes an equal neighbour or route for no change.
func (d device) ensureWayBack(via netip.Addr) error {
	if via.Is6() && !haveIPv6() {
		return nil
	}
	index := d.link.Attrs().Index
	neigh := neighbour(index, via)
	neigh.HardwareAddr = portMAC(control.DetourLink)
	if err := d.h.NeighSet(neigh); err != nil {
		return fmt.Errorf("add neighbour %s: %w", via, err)
	}
	route := &netlink.Route{
		LinkIndex: index, Gw: via.AsSlice(), Protocol: unix.RTPROT_STATIC,
		Dst: ipNet(netip.PrefixFrom(unspecified(via), 0)),
	}
	route.SetFlag(netlink.FLAG_ONLINK)
	if err := d.h.RouteReplace(route); err != nil {
		return fmt.Errorf("default via %s: %w", via, err)
	}
	return nil
}

// haveIPv6 tells whether the kernel has IPv6 at all.
func haveIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// detourHostSettings: the host's end is a hole that the programs send through, no interface of the host's stack.
func detourHostSettings() []setting {
	off := conf6(control.DetourLink, "disable_ipv6", "1")
	off.optional = true
	return []setting{off, conf4(control.DetourLink, "forwarding", "0")}
}

// detourSettings make the namespace forward everything that can be forwarded, and say nothing of its own accord.
func detourSettings(dev string) []setting {
	list := []setting{
		// First, as it sets others.
		{path: "ipv4/ip_forward", value: "1"},
		{path: "ipv4/ipfrag_time", value: fragmentWait},
		{path: "ipv4/ipfrag_high_thresh", value: fragmentRoom},
		{path: "ipv4/ipfrag_low_thresh", value: fragmentLow, optional: true},
		// A busy server has more datagrams than 64 under way to the same client.
		{path: "ipv4/ipfrag_max_dist", value: "0"},
		{path: "ipv6/conf/all/forwarding", value: "1", optional: true},
		{path: "ipv6/ip6frag_time", value: fragmentWait, optional: true},
		{path: "ipv6/ip6frag_high_thresh", value: fragmentRoom, optional: true},
		{path: "ipv6/ip6frag_low_thresh", value: fragmentLow, optional: true},
		// Netfilter's own reassembly of IPv6, which is the one that is at work there.
		{path: "netfilter/nf_conntrack_frag6_timeout", value: fragmentWait, optional: true},
		{path: "netfilter/nf_conntrack_frag6_high_thresh", value: fragmentRoom, optional: true},
		{path: "netfilter/nf_conntrack_frag6_low_thresh", value: fragmentLow, optional: true},
	}
	for _, name := range [...]string{"all", dev} {
		list = append(list,
			conf4(name, "rp_filter", "0"), conf4(name, "send_redirects", "0"), conf4(name, "accept_redirects", "0"),
			conf4(name, "accept_local", "1"), conf4(name, "forwarding", "1"), conf4(name, "log_martians", "0"))
	}
	for key, value := range map[string]string{
		"addr_gen_mode": "1", "accept_ra": "0", "accept_dad": "0", "accept_redirects": "0", "forwarding": "1", "disable_ipv6": "0",
	} {
		s := conf6(dev, key, value)
		s.optional = true
		list = append(list, s)
	}
	return list
}

// RemoveDetour removes the veth pair and the namespace; what is gone already is no error.
func (l *Links) RemoveDetour(ctx context.Context) error {
	if err := join(ctx.Err(), l.remove(control.DetourLink, "veth"), l.removeDetourFile()); err != nil {
		return fmt.Errorf("remove the detour for fragments: %w", err)
	}
	return nil
}

// removeDetourFile lets go of the namespace, which ends with its last user.
func (l *Links) removeDetourFile() error {
	if l.detour == "" {
		return nil
	}
	// Somebody may have mounted it twice.
	for {
		err := unix.Unmount(l.detour, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", l.detour, err)
		}
	}
	if err := os.Remove(l.detour); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
