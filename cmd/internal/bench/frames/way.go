// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vethway/vethway/test/netlab"
)

const (
	// Ports of generated flows: so many of each source address.
	firstPort = 1024
	perSource = 60000

	patience = 2 * time.Second
)

// way is how a client's frames begin: the device that they leave by, and the addresses on them.
type way struct {
	link     netlab.Link
	src, dst net.HardwareAddr
	source   netip.Addr
	port     uint16 // that the real datagram came from
}

// explore sends a real datagram and looks which frame it becomes.
func explore(ctx context.Context, client *netlab.Namespace, dial netip.AddrPort) (_ way, err error) {
	links, err := client.Links()
	if err != nil {
		return way{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	var sniffers sync.WaitGroup
	var sockets []*netlab.PacketSocket
	defer func() {
		cancel()
		sniffers.Wait()
		for _, s := range sockets {
			err = errors.Join(err, s.Close())
		}
	}()
	found := make(chan way, len(links))
	for _, l := range links {
		if l.Kind != "veth" {
			continue
		}
		socket, err := netlab.OpenPacket(client, l.Name)
		if err != nil {
			return way{}, err
		}
		sockets = append(sockets, socket)
		sniffers.Go(func() {
			if w, err := sniff(ctx, socket, l, dial); err == nil {
				found <- w
			}
		})
	}
	conn, err := client.Dial(ctx, "udp", dial)
	if err != nil {
		return way{}, err
	}
	defer conn.Close()
	if _, err := conn.Write(make([]byte, payload)); err != nil {
		return way{}, fmt.Errorf("send a first datagram to %s: %w", dial, err)
	}
	select {
	case w := <-found:
		return w, nil
	case <-ctx.Done():
		return way{}, fmt.Errorf("no frame to %s left %s: %w", dial, client, context.Cause(ctx))
	}
}

func sniff(ctx context.Context, socket *netlab.PacketSocket, l netlab.Link, dial netip.AddrPort) (way, error) {
	var source netip.AddrPort
	frame, err := socket.Sniff(ctx, func(f netlab.Frame) bool {
		ip, ok := f.IP()
		source = ip.Src
		return ok && f.Outgoing && ip.Proto == netlab.ProtoUDP && ip.Dst == dial
	})
	if err != nil {
		return way{}, err
	}
	return way{
		link: l, source: source.Addr(), port: source.Port(), dst: bytes.Clone(frame.Data[:6]), src: bytes.Clone(frame.Data[6:12]),
	}, nil
}

// frames are the first ones of so many flows to an address. The first source is the client's own, unless it is to be one
// of others; those, which nobody has to answer, follow it.
func (w way) frames(dial netip.AddrPort, flows int, others bool) [][]byte {
	list := make([][]byte, flows)
	source := w.source
	if others {
		source = source.Next()
	}
	for i := range list {
		if i > 0 && i%perSource == 0 {
			source = source.Next()
		}
		from := netip.AddrPortFrom(source, uint16(firstPort+i%perSource))
		list[i] = netlab.IPFrame(w.dst, w.src, netlab.UDPPacket(from, dial, make([]byte, payload)))
	}
	return list
}

// otherEnd finds the veth at the other end of the way's. Indexes of interfaces are those of their namespaces, so several
// may fit; then it is the one that the frames are addressed to, and on the way to a bridge the one on the host, which is
// the first of the namespaces.
func (w way) otherEnd(among []*netlab.Namespace) (*netlab.Namespace, string, error) {
	type end struct {
		ns   *netlab.Namespace
		link netlab.Link
	}
	var fit []end
	for _, ns := range among {
		links, err := ns.Links()
		if err != nil {
			return nil, "", err
		}
		for _, l := range links {
			if l.Kind != "veth" || l.Index != w.link.Peer || l.Peer != w.link.Index {
				continue
			}
			if bytes.Equal(l.MAC, w.dst) {
				return ns, l.Name, nil
			}
			fit = append(fit, end{ns, l})
		}
	}
	if len(fit) == 0 {
		return nil, "", errors.New("the other end of " + w.link.Name + " is nowhere to be found")
	}
	return fit[0].ns, fit[0].link.Name, nil
}
