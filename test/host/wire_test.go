// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/vethway/vethway/test/netlab"
)

// wire sends and hears raw frames on an interface, below whatever firewall and stack there is.
type wire struct {
	l      lab
	socket *netlab.PacketSocket
	next   netlab.Link // whose MAC address frames are sent to
}

// newWire opens eth0 of R, or of a container, whose frames go to the host.
func (l lab) newWire(where string) *wire {
	l.Helper()
	socket, err := netlab.OpenPacket(l.at(where), "eth0")
	l.must(err)
	l.Cleanup(func() { socket.Close() })
	gateway := ipv4().host
	switch where {
	case "c1", "c2":
		gateway = ipv4().gateway1
	case "d1":
		gateway = ipv4().gateway2
	}
	return &wire{l, socket, l.linkWith(gateway)}
}

// linkWith is the host's interface that has an address.
func (l lab) linkWith(a netip.Addr) netlab.Link {
	l.Helper()
	links, err := l.topo.Host.Links()
	l.must(err)
	for _, link := range links {
		addrs, err := l.topo.Host.Addrs(link.Name)
		l.must(err)
		if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return link
		}
	}
	l.Fatalf("no interface of the host has %s", a)
	return netlab.Link{}
}

func (w *wire) send(packet []byte) {
	w.l.Helper()
	w.l.must(w.socket.Send(netlab.IPFrame(w.next.MAC, w.socket.MAC(), packet)))
}

// hear waits for an incoming packet, and returns it from its IP header on.
func (w *wire) hear(what string, filter func(netlab.IPInfo) bool) []byte {
	w.l.Helper()
	ctx, cancel := context.WithTimeout(w.l.Context(), 2*time.Second)
	defer cancel()
	f, err := w.socket.Sniff(ctx, func(f netlab.Frame) bool {
		ip, ok := f.IP()
		return ok && !f.Outgoing && filter(ip)
	})
	if err != nil {
		w.l.Fatalf("%s: %v", what, err)
	}
	return f.Data[14:]
}

// all returns what comes in for a while and is accepted.
func (w *wire) all(d time.Duration, filter func(netlab.IPInfo) bool) []netlab.IPInfo {
	w.l.Helper()
	ctx, cancel := context.WithTimeout(w.l.Context(), d)
	defer cancel()
	frames, err := w.socket.Collect(ctx, func(f netlab.Frame) bool {
		ip, ok := f.IP()
		return ok && !f.Outgoing && filter(ip)
	})
	w.l.must(err)
	infos := make([]netlab.IPInfo, 0, len(frames))
	for _, f := range frames {
		ip, _ := f.IP()
		infos = append(infos, ip)
	}
	return infos
}

// phantom is an address on R's link that no stack has: whoever plays it does so by hand, and nobody else answers.
func (l lab) phantom(a family) netip.Addr {
	l.Helper()
	ip := addr("192.0.2.99")
	if a.host.Is6() {
		ip = addr("2001:db8:2::99")
	}
	remote, err := l.topo.Remote.Link("eth0")
	l.must(err)
	l.command(l.at("H"), "ip neigh replace "+ip.String()+" lladdr "+remote.MAC.String()+" nud permanent dev eth0")
	return ip
}

// transport is where the transport header begins.
func transport(packet []byte) []byte {
	if packet[0]>>4 == 6 {
		return packet[40:]
	}
	return packet[int(packet[0]&0xf)*4:]
}

func tcpSeq(packet []byte) uint32 { return binary.BigEndian.Uint32(transport(packet)[4:]) }
func tcpAck(packet []byte) uint32 { return binary.BigEndian.Uint32(transport(packet)[8:]) }
