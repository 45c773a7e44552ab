// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
)

// Place is where a client of a published port is, and by which of the host's
// addresses it asks.
type Place string

// The places.
const (
	// FromRemote is another machine, and the host's address.
	FromRemote Place = "remote"
	// FromHost is a process of the host, and the host's address.
	FromHost Place = "host"
	// FromLoopback is a process of the host, and 127.0.0.1 or ::1.
	FromLoopback Place = "loopback"
	// FromNeighbour is another container of the same network, and the host's
	// address.
	FromNeighbour Place = "neighbour"
	// FromSelf is the container that publishes the port, and the host's
	// address.
	FromSelf Place = "self"
	// FromOther is a container of another network, and the host's address.
	FromOther Place = "other"
)

// Places lists all of them.
func Places() []Place {
	return []Place{FromRemote, FromHost, FromLoopback, FromNeighbour, FromSelf, FromOther}
}

// ErrNoAccess is returned where a target gives a place no way to the port, or
// the spec has no container there.
var ErrNoAccess = errors.New("no way to the published port from there")

// Access is a client's way to a published port.
type Access struct {
	Client *netlab.Namespace
	// Dial is what the client connects to: an address of the host for whatever
	// translates, the container's own for whatever does not.
	Dial netip.AddrPort
	// Peer is the client's address as the container must see it.
	Peer netip.Addr
}

// client finds who stands at a place, and the address that it has there.
func (s *site) client(from Place, container string, f Family) (*netlab.Namespace, netip.Addr, error) {
	home, self, err := s.spec.Container(container)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	switch from {
	case FromRemote:
		return s.topo.Remote, s.topo.RemoteAddr(anyAddr(f)), nil
	case FromHost, FromLoopback:
		return s.topo.Host, s.topo.HostAddr(anyAddr(f)), nil
	case FromSelf:
		return s.containers[container], self.addr(f), nil
	case FromNeighbour, FromOther:
		for _, n := range s.spec.Networks {
			for _, c := range n.Containers {
				if c.Name != container && c.addr(f).IsValid() && (n.Name == home.Name) == (from == FromNeighbour) {
					return s.containers[c.Name], c.addr(f), nil
				}
			}
		}
	}
	return nil, netip.Addr{}, fmt.Errorf("%s %s over %s: %w", from, container, f, ErrNoAccess)
}

// hostAccess is Access by the host's addresses, before anything translates the
// client's own.
func (s *site) hostAccess(from Place, container string, p Port, f Family) (Access, error) {
	client, own, err := s.client(from, container, f)
	if err != nil {
		return Access{}, err
	}
	dial, err := s.hostReach(p, f)
	if err != nil {
		return Access{}, err
	}
	bound := p.HostIP.IsValid() && !p.HostIP.IsUnspecified()
	switch {
	case from == FromLoopback && !bound:
		dial = netip.AddrPortFrom(loopback(f), p.HostPort)
	case (from == FromLoopback) != dial.Addr().IsLoopback():
		return Access{}, fmt.Errorf("%s to port %s: %w", from, p, ErrNoAccess)
	}
	return Access{Client: client, Dial: dial, Peer: own}, nil
}

// containerAccess is Access by the container's own address. A process of the
// host is seen with the gateway's, which is the nearest that it has.
func (s *site) containerAccess(from Place, container string, p Port, f Family) (Access, error) {
	client, own, err := s.client(from, container, f)
	if err != nil {
		return Access{}, err
	}
	if from == FromSelf {
		return Access{}, fmt.Errorf("%s %s without leaving it: %w", from, container, ErrNoAccess)
	}
	dial, err := s.containerReach(container, p, f)
	if err != nil {
		return Access{}, err
	}
	if from == FromHost || from == FromLoopback {
		own = s.gateway(container, f)
	}
	return Access{Client: client, Dial: dial, Peer: own}, nil
}

// dockerAccess is Access as Docker gives it: with its userland proxy, or
// without.
func (s *site) dockerAccess(from Place, container string, p Port, f Family, proxy UserlandProxy) (Access, error) {
	a, err := s.hostAccess(from, container, p, f)
	if err != nil {
		return Access{}, err
	}
	if proxy.RulesOnly && proxy.On && byProxy(from) {
		return Access{}, fmt.Errorf("%s %s without its proxy: %w", from, container, ErrNoAccess)
	}
	gateway := s.gateway(container, f)
	switch from {
	case FromHost:
		// Translated on the way out, with the source that it had by then. Only
		// what goes without a proxy masquerades that.
		if !proxy.On {
			a.Peer = gateway
		}
	case FromLoopback:
		if f == IPv6 && !proxy.On {
			return Access{}, fmt.Errorf("::1 cannot be routed off the host: %w", ErrNoAccess)
		}
		a.Peer = gateway
	case FromNeighbour:
		if proxy.On {
			a.Peer = gateway
		}
	case FromSelf:
		a.Peer = gateway
	case FromOther:
		// It leaves its network by another interface: the bridge of this one.
		a.Peer = gateway
	}
	return a, nil
}

// byProxy tells the places that Docker leaves to its userland proxy.
func byProxy(from Place) bool {
	return from == FromLoopback || from == FromNeighbour || from == FromSelf
}

// gateway is the address of a container's gateway; it may be invalid.
func (s *site) gateway(container string, f Family) netip.Addr {
	n, _, err := s.spec.Container(container)
	switch {
	case err != nil:
		return netip.Addr{}
	case f == IPv6:
		return n.Gateway6
	}
	return n.Gateway4
}

// loopback is 127.0.0.1 or ::1.
func loopback(f Family) netip.Addr {
	if f == IPv6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// anyAddr stands for a family where an address is asked for.
func anyAddr(f Family) netip.Addr {
	if f == IPv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}
