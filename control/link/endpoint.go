// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/control"
)

// EnsureEndpoint creates or repairs a veth pair. It fails with control.ErrNamespaceGone when the container's namespace is no
// longer the one that e names, with ErrForeign when an interface of another kind has the host end's name.
func (l *Links) EnsureEndpoint(ctx context.Context, e control.EndpointSpec) (control.EndpointInfo, error) {
	l.changing(e.HostName)
	info, err := l.ensureEndpoint(ctx, e)
	if err != nil {
		l.settle(e.HostName, nil)
		return control.EndpointInfo{}, fmt.Errorf("endpoint %s: %w", e.HostName, err)
	}
	return info, nil
}

func (l *Links) ensureEndpoint(ctx context.Context, e control.EndpointSpec) (control.EndpointInfo, error) {
	if err := join(ctx.Err(), checkEndpoint(e)); err != nil {
		return control.EndpointInfo{}, err
	}
	bridge, err := find(l.h, e.Bridge, "bridge")
	if err == nil && bridge == nil {
		err = fmt.Errorf("bridge %s does not exist", e.Bridge)
	}
	if err != nil {
		return control.EndpointInfo{}, err
	}
	c, err := l.openContainer(e.Namespace)
	if err != nil {
		return control.EndpointInfo{}, err
	}
	defer c.Close()

	host, peer, err := l.findPair(c, e.HostName)
	if err != nil {
		return control.EndpointInfo{}, err
	}
	created := peer == nil
	if created {
		if host, peer, err = l.createPair(ctx, c, e); err != nil {
			return control.EndpointInfo{}, err
		}
	}
	info, err := l.repairEndpoint(ctx, c, bridge, host, peer, e, created)
	if err != nil {
		if created {
			err = join(err, l.remove(e.HostName, "veth"))
		}
		return control.EndpointInfo{}, err
	}
	return info, nil
}

func checkEndpoint(e control.EndpointSpec) error {
	if err := checkOurs(e.HostName); err != nil {
		return err
	}
	if err := checkOurs(e.Bridge); err != nil {
		return err
	}
	if e.ContainerName != "" {
		if err := checkName(e.ContainerName); err != nil {
			return err
		}
	}
	if len(e.MAC) != 6 || e.MAC[0]&1 != 0 {
		return fmt.Errorf("%q is not a MAC address for an interface", e.MAC)
	}
	return checkAddrs(e.Addrs, e.MTU, e.IPv6)
}

// findPair returns both ends of the veth pair. A host end whose other end is not in the container's namespace is of no use
// any more: it is deleted, and the pair counts as missing.
func (l *Links) findPair(c *container, hostName string) (host, peer netlink.Link, err error) {
	host, err = find(l.h, hostName, "veth")
	if err != nil || host == nil {
		return nil, nil, err
	}
	if peer, err = l.peer(c, host); err != nil || peer != nil {
		return host, peer, err
	}
	return nil, nil, l.remove(hostName, "veth")
}

// peer returns the other end of a host end if that lies in the container's namespace.
func (l *Links) peer(c *container, host netlink.Link) (netlink.Link, error) {
	nsid, err := l.h.GetNetNsIdByFd(c.ns.fd())
	if err != nil {
		return nil, fmt.Errorf("ask for the namespace's id: %w", err)
	}
	attrs := host.Attrs()
	// ifindexes are local to a namespace, so that the namespace must be compared too.
	if nsid < 0 || attrs.NetNsID != nsid {
		return nil, nil
	}
	peer, err := c.h.LinkByIndex(attrs.ParentIndex)
	if notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up the other end of %s: %w", attrs.Name, err)
	}
	if peer.Type() != "veth" || peer.Attrs().ParentIndex != attrs.Index {
		return nil, nil
	}
	return peer, nil
}

// createPair makes the container's end inside the container's namespace under its final name, so that nobody ever sees
// it under another. The host's end stays down.
func (l *Links) createPair(ctx context.Context, c *container, e control.EndpointSpec) (host, peer netlink.Link, err error) {
	// The container may be making interfaces of its own meanwhile, so that a free name may be taken a moment later.
	const tries = 5
	if e.ContainerName == "" {
		l.naming.Lock()
		defer l.naming.Unlock()
	}
	for try := 1; ; try++ {
		name := e.ContainerName
		if name == "" {
			if name, err = c.freeName(ctx); err != nil {
				return nil, nil, err
			}
		}
		err = l.addPair(c, e, name)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EEXIST) {
			return nil, nil, fmt.Errorf("create veth pair: %w", err)
		}
		if e.ContainerName != "" || try == tries {
			return nil, nil, fmt.Errorf("create veth pair: the container has an interface %s already: %w", name, err)
		}
	}
	host, peer, err = l.findPair(c, e.HostName)
	if err == nil && peer == nil {
		err = errors.New("create veth pair: it vanished at once")
	}
	if err != nil {
		return nil, nil, join(err, l.remove(e.HostName, "veth"))
	}
	return host, peer, nil
}

func (l *Links) addPair(c *container, e control.EndpointSpec, name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = e.HostName, e.MTU, portMAC(e.HostName)
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr = name, e.MAC
	veth.PeerNamespace = netlink.NsFd(c.ns.fd())
	if e.MTU > 0 {
		veth.PeerMTU = uint32(e.MTU)
	}
	return l.h.LinkAdd(veth)
}

// portMAC gives a host end a MAC of its own: systemd-udevd replaces a random one, at a moment of its choosing.
func portMAC(hostName string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(hostName))
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^0x01 | 0x02 // unicast, locally administered
	return mac
}

func (l *Links) repairEndpoint(ctx context.Context, c *container, bridge, host, peer netlink.Link,
	e control.EndpointSpec, created bool,
) (control.EndpointInfo, error) {
	before := l.lastApplied(e.HostName)
	name, changed, err := c.ensureInterface(ctx, device{c.h, peer}, e, before)
	if err != nil {
		return control.EndpointInfo{}, fmt.Errorf("in the container: %w", err)
	}
	if err := l.ensurePort(device{l.h, host}, bridge, e, before); err != nil {
		return control.EndpointInfo{}, err
	}
	l.setApplied(e.HostName, applied{
		addrs: slices.Clone(e.Addrs), mac: e.MAC.String(),
		unannounced: created || changed || before.unannounced,
	})
	return control.EndpointInfo{HostIndex: host.Attrs().Index, NamespaceID: host.Attrs().NetNsID, ContainerName: name}, nil
}

// ensurePort makes the host end a port of the bridge. What is already up and elsewhere is taken off first: no packet may pass
// between two bridges.
func (l *Links) ensurePort(d device, bridge netlink.Link, e control.EndpointSpec, before applied) error {
	if err := join(d.ensureBasics(nil, e.MTU), d.ensurePacketSizes(e.Receive, e.Send)); err != nil {
		return err
	}
	// A port has no business with IPv6 itself: no link-local address, no router solicitation into the container.
	off := conf6(e.HostName, "disable_ipv6", "1")
	off.optional = true
	if err := l.ns.do(func() error { return applySettings([]setting{off}) }); err != nil {
		return err
	}
	if d.link.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := l.h.LinkSetMaster(d.link, bridge); err != nil {
			if errors.Is(err, unix.EXFULL) || errors.Is(err, unix.E2BIG) {
				return fmt.Errorf("bridge %s has no room for another port: %w", e.Bridge, err)
			}
			return fmt.Errorf("add to bridge %s: %w", e.Bridge, err)
		}
		if err := l.ensureBridgeSize(bridge, e.Receive); err != nil {
			return err
		}
	}
	if err := l.ensureNeighbours(d.link, bridge, e); err != nil {
		return err
	}
	return l.dropNeighbours(bridge.Attrs().Index, staleAddrs(before, e))
}

// RemoveEndpoint deletes the veth pair and the bridge's neighbours of it; what is gone already is no error. Of an endpoint
// that nobody knows any more, the host end's name is enough.
func (l *Links) RemoveEndpoint(ctx context.Context, e control.EndpointSpec) error {
	l.changing(e.HostName)
	defer l.settle(e.HostName, nil)
	if err := l.removeEndpoint(ctx, e); err != nil {
		return fmt.Errorf("remove endpoint %s: %w", e.HostName, err)
	}
	l.forget(e.HostName)
	return nil
}

func (l *Links) removeEndpoint(ctx context.Context, e control.EndpointSpec) error {
	if err := join(ctx.Err(), checkOurs(e.HostName)); err != nil {
		return err
	}
	host, err := find(l.h, e.HostName, "veth")
	if err != nil {
		return err
	}
	bridge, macs, err := l.neighboursOf(ctx, host, e)
	return join(err, l.dropNeighboursOf(ctx, bridge, macs), l.remove(e.HostName, "veth"))
}

// neighboursOf returns the bridge and the MACs by which it knows the endpoint.
func (l *Links) neighboursOf(ctx context.Context, host netlink.Link, e control.EndpointSpec) (int, []string, error) {
	if e.Bridge != "" && e.MAC != nil {
		bridge, err := find(l.h, e.Bridge, "bridge")
		if err != nil || bridge == nil {
			return 0, nil, err
		}
		return bridge.Attrs().Index, []string{e.MAC.String()}, nil
	}
	if host == nil {
		return 0, nil, nil
	}
	entries, err := dump(ctx, func() ([]netlink.Neigh, error) { return l.h.NeighList(host.Attrs().Index, unix.AF_BRIDGE) })
	if err != nil {
		return 0, nil, fmt.Errorf("list FDB entries: %w", err)
	}
	var macs []string
	for _, n := range entries {
		if n.State&netlink.NUD_NOARP != 0 {
			macs = append(macs, n.HardwareAddr.String())
		}
	}
	return host.Attrs().MasterIndex, macs, nil
}

// freeName returns the first free eth<n>.
func (c *container) freeName(ctx context.Context) (string, error) {
	links, err := dump(ctx, c.h.LinkList)
	if err != nil {
		return "", fmt.Errorf("list the container's interfaces: %w", err)
	}
	taken := map[string]bool{}
	for _, link := range links {
		taken[link.Attrs().Name] = true
		for _, alt := range link.Attrs().AltNames {
			taken[alt] = true
		}
	}
	for n := 0; ; n++ {
		if name := "eth" + strconv.Itoa(n); !taken[name] {
			return name, nil
		}
	}
}
