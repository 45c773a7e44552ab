// SPDX-License-Identifier: Apache-2.0

package ports

import "net/netip"

// book says who has which port of one address and protocol. Pages are made as ports are taken, so that an address with one port
// costs little, and one with all of them costs a word a port.
type book struct {
	addr  netip.Addr
	pages [256]*page
	n     int // how many are taken
}

type page struct {
	owners [256]*string
	n      int
}

// owner is nil when nobody has the port.
func (b *book) owner(port uint16) *string {
	if p := b.pages[port>>8]; p != nil {
		return p.owners[port&0xff]
	}
	return nil
}

func (b *book) take(port uint16, owner *string) {
	p := b.pages[port>>8]
	if p == nil {
		p = new(page)
		b.pages[port>>8] = p
	}
	if p.owners[port&0xff] == nil {
		p.n++
		b.n++
	}
	p.owners[port&0xff] = owner
}

func (b *book) free(port uint16) {
	p := b.pages[port>>8]
	if p == nil || p.owners[port&0xff] == nil {
		return
	}
	p.owners[port&0xff] = nil
	b.n--
	if p.n--; p.n == 0 {
		b.pages[port>>8] = nil
	}
}
