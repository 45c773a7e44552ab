// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Link is what there is to know about an interface.
type Link struct {
	Name   string
	Kind   string // "veth", "bridge", "device" …
	Index  int
	Peer   int // index of the other end of a veth, in its own namespace
	Master int // index of the bridge it is a port of, or 0
	MAC    net.HardwareAddr
	MTU    int
	Up     bool

	// The largest packets that it may be given to cut up, and that it may put
	// together.
	GSO, GRO PacketSize

	RxPackets, TxPackets uint64
}

// PacketSize is a length in bytes for each family; beyond 65536 it is BIG TCP.
type PacketSize struct{ IPv4, IPv6 int }

// String is "65536", or "196608/65536" where IPv4 differs from IPv6.
func (s PacketSize) String() string {
	if s.IPv4 == s.IPv6 {
		return strconv.Itoa(s.IPv6)
	}
	return fmt.Sprintf("%d/%d", s.IPv4, s.IPv6)
}

// Link finds an interface by name.
func (n *Namespace) Link(name string) (Link, error) {
	l, err := n.handle.LinkByName(name)
	if err != nil {
		return Link{}, fmt.Errorf("find link %s in %s: %w", name, n.name, err)
	}
	return newLink(l), nil
}

// Links lists the interfaces of the namespace.
func (n *Namespace) Links() ([]Link, error) {
	all, err := dump(n.handle.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links in %s: %w", n.name, err)
	}
	links := make([]Link, 0, len(all))
	for _, l := range all {
		links = append(links, newLink(l))
	}
	return links, nil
}

// dump repeats a listing that a change in the middle of it made inconsistent.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for range 10 {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return list()
}

func newLink(l netlink.Link) Link {
	a := l.Attrs()
	link := Link{
		Name: a.Name, Kind: l.Type(), Index: a.Index, Peer: a.ParentIndex, Master: a.MasterIndex,
		MAC: a.HardwareAddr, MTU: a.MTU, Up: a.Flags&net.FlagUp != 0,
		GSO: PacketSize{IPv4: int(a.GSOIPv4MaxSize), IPv6: int(a.GSOMaxSize)},
		GRO: PacketSize{IPv4: int(a.GROIPv4MaxSize), IPv6: int(a.GROMaxSize)},
	}
	if a.Statistics != nil {
		link.RxPackets, link.TxPackets = a.Statistics.RxPackets, a.Statistics.TxPackets
	}
	return link
}

// AddVeth joins two namespaces by a veth pair and brings both ends up. The
// pair is made in place, so it never shows up anywhere else, and its offloads
// are those that the kernel gives it.
func (n *Namespace) AddVeth(name string, peer *Namespace, peerName string) error {
	fail := func(err error) error {
		return fmt.Errorf("add veth %s in %s to %s in %s: %w", name, n.name, peerName, peer.name, err)
	}
	ns, err := netns.GetFromPath(peer.path)
	if err != nil {
		return fail(err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	err = n.handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peerName, PeerNamespace: netlink.NsFd(ns)})
	if err != nil {
		return fail(err)
	}
	if err := errors.Join(n.SetUp(name), peer.SetUp(peerName)); err != nil {
		return err
	}
	return errors.Join(n.WaitUp(name), peer.WaitUp(peerName))
}

// WaitUp waits until an interface carries packets. Setting it up is not
// enough: the kernel replaces the queueing discipline that drops everything
// from a work queue, once it has seen the carrier, and a busy machine takes
// its time for that.
func (n *Namespace) WaitUp(link string) error {
	for range 2000 {
		l, err := n.handle.LinkByName(link)
		if err != nil {
			return fmt.Errorf("wait for link %s in %s: %w", link, n.name, err)
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("wait for link %s in %s: it does not come up", link, n.name)
}

// AddBridge makes a bridge and brings it up.
func (n *Namespace) AddBridge(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := n.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("add bridge %s in %s: %w", name, n.name, err)
	}
	return n.SetUp(name)
}

// SetMaster makes an interface a port of a bridge.
func (n *Namespace) SetMaster(link, bridge string) error {
	master, err := n.Link(bridge)
	if err != nil {
		return err
	}
	return n.change(link, "put on bridge "+bridge, func(l netlink.Link) error {
		return n.handle.LinkSetMasterByIndex(l, master.Index)
	})
}

// SetHairpin lets a bridge send a frame back out of the port it came in by.
func (n *Namespace) SetHairpin(port string, on bool) error {
	return n.change(port, "set hairpin mode of", func(l netlink.Link) error { return n.handle.LinkSetHairpin(l, on) })
}

// SetUp brings an interface up.
func (n *Namespace) SetUp(link string) error { return n.change(link, "bring up", n.handle.LinkSetUp) }

// SetDown takes an interface down.
func (n *Namespace) SetDown(link string) error {
	return n.change(link, "take down", n.handle.LinkSetDown)
}

// SetMTU changes the MTU of an interface.
func (n *Namespace) SetMTU(link string, mtu int) error {
	return n.change(link, "set MTU of", func(l netlink.Link) error { return n.handle.LinkSetMTU(l, mtu) })
}

// SetQueueLength changes how many packets wait for an interface.
func (n *Namespace) SetQueueLength(link string, packets int) error {
	return n.change(link, "set queue length of", func(l netlink.Link) error { return n.handle.LinkSetTxQLen(l, packets) })
}

// SetPacketSize sets how large a packet is built for an interface, and taken
// together on it.
func (n *Namespace) SetPacketSize(link string, size PacketSize) error {
	return n.change(link, "set packet size of", func(l netlink.Link) error {
		// Setting IPv6's to 64 KiB sets IPv4's along.
		return errors.Join(
			n.handle.LinkSetGSOMaxSize(l, size.IPv6), n.handle.LinkSetGSOIPv4MaxSize(l, size.IPv4),
			n.handle.LinkSetGROMaxSize(l, size.IPv6), n.handle.LinkSetGROIPv4MaxSize(l, size.IPv4),
		)
	})
}

// SetMAC changes the hardware address of an interface.
func (n *Namespace) SetMAC(link string, mac net.HardwareAddr) error {
	return n.change(link, "set MAC of", func(l netlink.Link) error { return n.handle.LinkSetHardwareAddr(l, mac) })
}

// DeleteLink removes an interface; a veth takes its other end with it.
func (n *Namespace) DeleteLink(link string) error {
	return n.change(link, "delete", n.handle.LinkDel)
}

func (n *Namespace) change(link, what string, f func(netlink.Link) error) error {
	l, err := n.handle.LinkByName(link)
	if err == nil {
		err = f(l)
	}
	if err != nil {
		return fmt.Errorf("%s %s in %s: %w", what, link, n.name, err)
	}
	return nil
}
