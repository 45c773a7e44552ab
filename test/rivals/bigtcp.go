// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"fmt"

	"github.com/vethway/vethway/test/netlab"
)

// BigTCP is a target whose interfaces all build packets of up to 192 KiB, as an
// administrator can have it by hand. It is so over IPv4 alone: up to Linux 6.19
// the kernel cannot route such packets of IPv6.
type BigTCP struct{ Target }

// NewBigTCP makes one out of a target that is not set up.
func NewBigTCP(t Target) *BigTCP { return &BigTCP{t} }

// Name is the target's with -bigtcp.
func (t *BigTCP) Name() string { return t.Target.Name() + "-bigtcp" }

// bigPackets is what vethway goes up to by itself, where the uplinks let it.
func bigPackets() netlab.PacketSize { return netlab.PacketSize{IPv4: 196608, IPv6: 65536} }

// Setup raises the uplink before the target comes, and after it what the target
// made. Only vethway has to do its part itself.
func (t *BigTCP) Setup(ctx context.Context, topo *netlab.Topology, spec Spec) error {
	for _, u := range topo.Uplinks {
		err := errors.Join(topo.Host.SetPacketSize(u.Dev, bigPackets()), u.Remote.SetPacketSize(u.RemoteDev, bigPackets()))
		if err != nil {
			return fmt.Errorf("set up %s: %w", t.Name(), err)
		}
	}
	if err := t.Target.Setup(ctx, topo, spec); err != nil {
		return err
	}
	if err := t.raise(topo, spec); err != nil {
		return fmt.Errorf("set up %s: %w", t.Name(), err)
	}
	return nil
}

func (t *BigTCP) raise(topo *netlab.Topology, spec Spec) error {
	_, raises := t.Target.(*Vethway)
	namespaces := []*netlab.Namespace{topo.Host, topo.Remote}
	for _, n := range spec.Networks {
		for _, c := range n.Containers {
			namespaces = append(namespaces, t.Container(c.Name))
		}
	}
	for i, ns := range namespaces {
		links, err := ns.Links()
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Kind != "veth" && l.Kind != "bridge" {
				continue
			}
			if !raises {
				if err := ns.SetPacketSize(l.Name, bigPackets()); err != nil {
					return err
				}
			} else if i > 0 && l.GSO.IPv4 != bigPackets().IPv4 {
				return fmt.Errorf("%s of %s builds packets of %v", l.Name, ns, l.GSO)
			}
		}
	}
	return nil
}
