// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"net/netip"
	"slices"

	"github.com/vethway/vethway/control/api"
)

// maxReleased bounds how many released addresses a Pool remembers; the oldest are forgotten first.
const maxReleased = 1024

// Config says what a Pool hands out.
type Config struct {
	Subnet netip.Prefix
	// Range narrows what is handed out unasked; zero: the whole subnet.
	Range netip.Prefix
	// Gateway is the bridge's own address; zero: the first usable one.
	Gateway netip.Addr
	// Aux are addresses in use by others, by name.
	Aux map[string]netip.Addr
}

// Pool is the addresses of one family of one network. It is not safe for concurrent use.
type Pool struct {
	cfg      Config
	reserved map[netip.Addr]string
	used     map[netip.Addr]string // to the owner
	lease    Lease
}

// Lease is the part of a Pool that cannot be told from what is in use.
type Lease struct {
	// Last is the address handed out last: the search goes on from there.
	Last netip.Addr `json:",omitzero"`
	// Released are free addresses that were in use, the one released first in front. They are handed out last, or to
	// the owner they had.
	Released []Released `json:",omitempty"`
}

// Released is a free address and who had it.
type Released struct {
	Addr  netip.Addr
	Owner string
}

// New makes a Pool in which nothing is in use. Its errors are api.InvalidArgument.
func New(cfg Config) (*Pool, error) {
	if err := CheckSubnet(cfg.Subnet); err != nil {
		return nil, err
	}
	if err := checkRange(cfg); err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg, reserved: map[netip.Addr]string{}, used: map[netip.Addr]string{}}
	p.reserveEnds()
	if err := p.reserveAux(); err != nil {
		return nil, err
	}
	if err := p.reserveGateway(); err != nil {
		return nil, err
	}
	return p, nil
}

func checkRange(cfg Config) error {
	r := cfg.Range
	switch {
	case !r.IsValid():
		return nil
	case r != r.Masked():
		return api.Errorf(api.InvalidArgument, "ip-range %s has host bits set", r).WithHint("you may mean %s", r.Masked())
	case r.Bits() < cfg.Subnet.Bits() || !cfg.Subnet.Contains(r.Addr()):
		return api.Errorf(api.InvalidArgument, "ip-range %s does not lie in subnet %s", r, cfg.Subnet)
	}
	return nil
}

// reserveEnds keeps out the addresses that mean the subnet itself. A point-to-point subnet has none (RFC 3021, RFC 6164).
func (p *Pool) reserveEnds() {
	if p.cfg.Subnet.Bits() >= p.cfg.Subnet.Addr().BitLen()-1 {
		return
	}
	if p.cfg.Subnet.Addr().Is4() {
		p.reserved[p.cfg.Subnet.Addr()] = "the network address"
		p.reserved[Last(p.cfg.Subnet)] = "the broadcast address"
	} else {
		p.reserved[p.cfg.Subnet.Addr()] = "the subnet-router anycast address" // RFC 4291 section 2.6.1
	}
}

func (p *Pool) reserveAux() error {
	for name, addr := range p.cfg.Aux {
		if !p.cfg.Subnet.Contains(addr) {
			return api.Errorf(api.InvalidArgument, "aux-address %s=%s does not lie in subnet %s", name, addr, p.cfg.Subnet)
		}
		if what, taken := p.reserved[addr]; taken {
			return api.Errorf(api.InvalidArgument, "aux-address %s=%s is %s", name, addr, what)
		}
		p.reserved[addr] = "aux-address " + name
	}
	return nil
}

func (p *Pool) reserveGateway() error {
	if !p.cfg.Gateway.IsValid() {
		gateway, ok := p.search(p.cfg.Subnet.Addr(), p.cfg.Subnet)
		if !ok {
			return api.Errorf(api.InvalidArgument, "subnet %s has no address left for the gateway", p.cfg.Subnet)
		}
		p.cfg.Gateway = gateway
	}
	g := p.cfg.Gateway
	if !p.cfg.Subnet.Contains(g) {
		return api.Errorf(api.InvalidArgument, "gateway %s does not lie in subnet %s", g, p.cfg.Subnet)
	}
	if what, taken := p.reserved[g]; taken {
		return api.Errorf(api.InvalidArgument, "gateway %s is %s", g, what)
	}
	p.reserved[g] = "the gateway"
	return nil
}

// Subnet is the pool's subnet, and Gateway the bridge's address in it.
func (p *Pool) Subnet() netip.Prefix { return p.cfg.Subnet }

// Gateway is the bridge's own address.
func (p *Pool) Gateway() netip.Addr { return p.cfg.Gateway }

// Owner says who has an address.
func (p *Pool) Owner(addr netip.Addr) (string, bool) {
	owner, ok := p.used[addr]
	return owner, ok
}

// Allocate hands out a free address: the one that owner had last if nobody has it now, else the next that nobody had
// lately, else the one released longest ago. It fails with api.ResourceExhausted.
func (p *Pool) Allocate(owner string) (netip.Addr, error) {
	addr, ok := p.choose(owner)
	if !ok {
		return netip.Addr{}, api.Errorf(api.ResourceExhausted, "no free address left in %s (%d in use)", p.within(), len(p.used)).
			WithHint("detach containers, or make a network with a wider --subnet or --ip-range")
	}
	p.take(addr, owner)
	p.lease.Last = addr
	return addr, nil
}

// within is the prefix addresses are handed out from.
func (p *Pool) within() netip.Prefix {
	if p.cfg.Range.IsValid() {
		return p.cfg.Range
	}
	return p.cfg.Subnet
}

func (p *Pool) choose(owner string) (netip.Addr, bool) {
	for i := len(p.lease.Released) - 1; i >= 0; i-- {
		if r := p.lease.Released[i]; r.Owner == owner {
			return r.Addr, true
		}
	}
	within := p.within()
	start := within.Addr()
	if p.lease.Last.IsValid() && within.Contains(p.lease.Last) && p.lease.Last != Last(within) {
		start = p.lease.Last.Next()
	}
	if addr, ok := p.search(start, within); ok {
		return addr, true
	}
	for _, r := range p.lease.Released {
		if within.Contains(r.Addr) {
			return r.Addr, true
		}
	}
	return netip.Addr{}, false
}

// search returns the first address from start on, round the end of within to its beginning, that is free and was not
// released lately. Every address it passes over is reserved, used or released, so that it ends after as many steps.
func (p *Pool) search(start netip.Addr, within netip.Prefix) (netip.Addr, bool) {
	released := make(map[netip.Addr]bool, len(p.lease.Released))
	for _, r := range p.lease.Released {
		released[r.Addr] = true
	}
	last := Last(within)
	addr := start
	for range len(p.reserved) + len(p.used) + len(released) + 1 {
		if p.free(addr) && !released[addr] {
			return addr, true
		}
		if addr == last {
			addr = within.Addr()
		} else {
			addr = addr.Next()
		}
		if addr == start {
			break
		}
	}
	return netip.Addr{}, false
}

func (p *Pool) free(addr netip.Addr) bool {
	_, reserved := p.reserved[addr]
	_, used := p.used[addr]
	return !reserved && !used
}

// Claim hands out the address that is asked for. It fails with api.InvalidArgument for one that nobody may have, and
// with api.Conflict for one that somebody has.
func (p *Pool) Claim(addr netip.Addr, owner string) error {
	if !p.cfg.Subnet.Contains(addr) {
		return api.Errorf(api.InvalidArgument, "address %s does not lie in subnet %s", addr, p.cfg.Subnet)
	}
	if what, ok := p.reserved[addr]; ok {
		return api.Errorf(api.InvalidArgument, "address %s is %s", addr, what)
	}
	if other, ok := p.used[addr]; ok {
		return api.Errorf(api.Conflict, "address %s is in use by container %s", addr, other).
			WithHint("choose another, or leave it out to have one chosen")
	}
	p.take(addr, owner)
	return nil
}

func (p *Pool) take(addr netip.Addr, owner string) {
	p.used[addr] = owner
	p.lease.Released = slices.DeleteFunc(p.lease.Released, func(r Released) bool { return r.Addr == addr })
}

// Release takes an address back. One that is not in use is left alone.
func (p *Pool) Release(addr netip.Addr) {
	owner, ok := p.used[addr]
	if !ok {
		return
	}
	delete(p.used, addr)
	p.lease.Released = append(p.lease.Released, Released{Addr: addr, Owner: owner})
	if extra := len(p.lease.Released) - maxReleased; extra > 0 {
		p.lease.Released = slices.Delete(p.lease.Released, 0, extra)
	}
}

// Lease is a copy of what Restore wants back.
func (p *Pool) Lease() Lease {
	return Lease{Last: p.lease.Last, Released: slices.Clone(p.lease.Released)}
}

// Restore puts back what Lease returned. What cannot be true (of another subnet, in use, reserved) is left out.
func (p *Pool) Restore(l Lease) {
	p.lease = Lease{}
	if p.cfg.Subnet.Contains(l.Last) {
		p.lease.Last = l.Last
	}
	for _, r := range l.Released {
		if p.cfg.Subnet.Contains(r.Addr) && p.free(r.Addr) {
			p.lease.Released = append(p.lease.Released, r)
		}
	}
}
