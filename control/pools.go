// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vethway/vethway/control/ipam"
)

func newPools(n *network) (*pools, error) {
	p4, err4 := newPool(n.IPv4)
	p6, err6 := newPool(n.IPv6)
	if err := errors.Join(err4, err6); err != nil {
		return nil, err
	}
	return &pools{p4, p6}, nil
}

func newPool(a *addressing) (*ipam.Pool, error) {
	if a == nil {
		return nil, nil
	}
	return ipam.New(ipam.Config{Subnet: a.Subnet, Range: a.Range, Gateway: a.Gateway, Aux: a.Aux})
}

// allocate gives an endpoint its addresses: the static ones that it has already, else free ones.
func (p *pools) allocate(owner string, ep *endpoint) error {
	for _, f := range p.families(ep) {
		var err error
		switch {
		case *f.static:
			err = f.pool.Claim(*f.addr, owner)
		case f.pool != nil:
			*f.addr, err = f.pool.Allocate(owner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// claim enters the addresses that an endpoint has.
func (p *pools) claim(owner string, ep *endpoint) error {
	for _, f := range p.families(ep) {
		if !f.addr.IsValid() {
			continue
		}
		if f.pool == nil {
			return fmt.Errorf("address %s on a network without that family", *f.addr)
		}
		if err := f.pool.Claim(*f.addr, owner); err != nil {
			return err
		}
	}
	return nil
}

func (p *pools) release(ep *endpoint) {
	for _, f := range p.families(ep) {
		if f.pool != nil && f.addr.IsValid() {
			f.pool.Release(*f.addr)
		}
	}
}

type family struct {
	pool   *ipam.Pool
	addr   *netip.Addr
	static *bool
}

func (p *pools) families(ep *endpoint) [2]family {
	return [2]family{{p.ipv4, &ep.IPv4, &ep.Static4}, {p.ipv6, &ep.IPv6, &ep.Static6}}
}

// lease is what the pools want remembered.
func (p *pools) lease() *lease {
	var l lease
	if p.ipv4 != nil {
		l.IPv4 = p.ipv4.Lease()
	}
	if p.ipv6 != nil {
		l.IPv6 = p.ipv6.Lease()
	}
	return &l
}

func (p *pools) restore(l *lease) {
	if p.ipv4 != nil {
		p.ipv4.Restore(l.IPv4)
	}
	if p.ipv6 != nil {
		p.ipv6.Restore(l.IPv6)
	}
}
