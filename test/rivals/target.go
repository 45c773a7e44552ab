// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/test/netlab"
)

// Target is one way of giving containers a network: vethway itself, or
// something it is compared with. A runner sets each of them up on a topology
// of its own from one and the same Spec, sends the same traffic through it,
// and compares who saw whom, or how long it took.
type Target interface {
	// Name is the short name that reports print: "iptables-nft", "routing".
	Name() string
	// Setup makes the networks and containers of spec on the topology's host.
	// It is called once. When it fails, Close still has to be called.
	Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error
	// Publish adds a published port to a running container.
	Publish(ctx context.Context, container string, p Port) error
	// Unpublish takes it away again.
	Unpublish(ctx context.Context, container string, p Port) error
	// Container returns the namespace of a container of the spec, or nil.
	Container(name string) *netlab.Namespace
	// Reach says where a client on the topology's remote finds a published
	// port: at the host's address for whatever translates, at the container's
	// own address for whatever does not.
	Reach(container string, p Port, f Family) (netip.AddrPort, error)
	// Access says how a client at any place gets to a published port, and as
	// whom the container must see it. It returns ErrNoAccess where the target
	// has no such way.
	Access(from Place, container string, p Port, f Family) (Access, error)
	// Helpers are the processes that forward packets on the target's behalf.
	Helpers() []int
	// Counters reads what the target's way counts. Prove compares two readings.
	Counters(ctx context.Context) (Counters, error)
	// Proof describes the counters which show that traffic took the path that
	// this target stands for, and fails when they show that it did not.
	Proof(ctx context.Context) (string, error)
	// Close takes down everything that Setup made.
	Close() error

	// evidence is what Counters must show around traffic of one way.
	evidence(w Way, f Family) (evidence, error)
}

// ErrUnavailable is returned by Setup where this kernel or this machine cannot
// have the target, or not at the size of the spec; the error says why.
var ErrUnavailable = errors.New("not available here")

// Family picks IPv4 or IPv6.
type Family int

// The two families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String returns "ipv4" or "ipv6".
func (f Family) String() string { return fmt.Sprintf("ipv%d", int(f)) }

// Spec is the desired state: networks, the containers on them, and the ports
// that these publish.
type Spec struct {
	Networks []Network
}

// Network is one bridge network. An invalid Subnet6 makes it IPv4 only, and
// the other way round.
type Network struct {
	Name     string
	Subnet4  netip.Prefix
	Gateway4 netip.Addr
	Subnet6  netip.Prefix
	Gateway6 netip.Addr
	// Options are vethway's network options; nobody else knows them.
	Options    map[string]string
	Containers []Container
}

// Container is one container on its network.
type Container struct {
	Name    string
	IP4     netip.Addr
	IP6     netip.Addr
	Publish []Port
}

// Port is one published port: what reaches HostPort on HostIP goes to
// ContainerPort. An invalid HostIP is every address of the host, in both
// families.
type Port struct {
	HostIP        netip.Addr
	HostPort      uint16
	ContainerPort uint16
	Proto         string // "tcp" or "udp"
}

// String spells the port as docker does: 192.0.2.2:8080->80/tcp.
func (p Port) String() string {
	if p.HostIP.IsValid() {
		return fmt.Sprintf("%s->%d/%s", netip.AddrPortFrom(p.HostIP, p.HostPort), p.ContainerPort, p.Proto)
	}
	return fmt.Sprintf("%d->%d/%s", p.HostPort, p.ContainerPort, p.Proto)
}

// CommonSpec is the spec that every comparison uses: network one with c1,
// which publishes 8080 to 80 over tcp and udp, and c2; network two with d1.
func CommonSpec() Spec {
	return Spec{Networks: []Network{
		{
			Name:    "one",
			Subnet4: netip.MustParsePrefix("172.30.1.0/24"), Gateway4: netip.MustParseAddr("172.30.1.1"),
			Subnet6: netip.MustParsePrefix("fd30:1::/64"), Gateway6: netip.MustParseAddr("fd30:1::1"),
			Containers: []Container{
				{
					Name: "c1", IP4: netip.MustParseAddr("172.30.1.2"), IP6: netip.MustParseAddr("fd30:1::2"),
					Publish: []Port{
						{HostPort: 8080, ContainerPort: 80, Proto: "tcp"},
						{HostPort: 8080, ContainerPort: 80, Proto: "udp"},
					},
				},
				{Name: "c2", IP4: netip.MustParseAddr("172.30.1.3"), IP6: netip.MustParseAddr("fd30:1::3")},
			},
		},
		{
			Name:    "two",
			Subnet4: netip.MustParsePrefix("172.30.2.0/24"), Gateway4: netip.MustParseAddr("172.30.2.1"),
			Subnet6: netip.MustParsePrefix("fd30:2::/64"), Gateway6: netip.MustParseAddr("fd30:2::1"),
			Containers: []Container{
				{Name: "d1", IP4: netip.MustParseAddr("172.30.2.2"), IP6: netip.MustParseAddr("fd30:2::2")},
			},
		},
	}}
}

// containers is how many there are.
func (s Spec) containers() (n int) {
	for _, network := range s.Networks {
		n += len(network.Containers)
	}
	return n
}

// ports is how many are published.
func (s Spec) ports() (n int) {
	for _, network := range s.Networks {
		for _, c := range network.Containers {
			n += len(c.Publish)
		}
	}
	return n
}

// Container finds a container of the spec and the network that it is on.
func (s Spec) Container(name string) (Network, Container, error) {
	for _, n := range s.Networks {
		for _, c := range n.Containers {
			if c.Name == name {
				return n, c, nil
			}
		}
	}
	return Network{}, Container{}, fmt.Errorf("no container %q in the spec", name)
}
