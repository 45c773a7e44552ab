// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"math/bits"
	"time"

	"github.com/vethway/vethway/maps"
)

// A port's PortHost goes when that many Syncs in a row did not list it, for that long: a listing may be older than the
// socket, and the engine does not list anew for every Sync.
const (
	hostPatienceSyncs = 2
	hostPatience      = time.Minute
)

// portsOfProtocol is how many numbers there are.
const portsOfProtocol = 1 << 16

// portBits is a set of ports of the three kinds of protocols, by their index in the map port_use.
type portBits [3 * portsOfProtocol / 64]uint64

func (b *portBits) add(first, count uint32) {
	for index := first; index < first+count; index++ {
		b[index/64] |= 1 << (index % 64)
	}
}

func (b *portBits) has(index uint32) bool { return b[index/64]>>(index%64)&1 != 0 }

// without calls yield for what is in b and not in other.
func (b *portBits) without(other *portBits, yield func(index uint32)) {
	for i, word := range b {
		for word &^= other[i]; word != 0; word &= word - 1 {
			yield(uint32(i*64 + bits.TrailingZeros64(word)))
		}
	}
}

// ports keeps the port_use map, which is shared memory. PortPublished is ours alone; PortHost is also set by the programs that
// see sockets bind.
type ports struct {
	use       *maps.Memory[uint32]
	published portBits             // have PortPublished
	bound     map[uint32]boundPort // have PortHost
	known     bool
	readAt    time.Duration
}

// boundPort is when a port was last known to be bound, and how many Syncs have not listed it since.
type boundPort struct {
	seen   time.Duration
	missed int
}

// load reads the map back unless what it holds is known.
func (p *ports) load(now time.Duration) {
	if p.known {
		return
	}
	bound := make(map[uint32]boundPort)
	p.published = portBits{}
	for index := range p.use.Len() {
		use := p.use.Get(index)
		if use&maps.PortPublished != 0 {
			p.published.add(index, 1)
		}
		if use&maps.PortHost != 0 {
			before, ok := p.bound[index]
			if !ok {
				before.seen = now
			}
			bound[index] = before
		}
	}
	p.bound, p.known = bound, true
}

// expire has the map read back by the next Sync when that was too long ago: sockets that were bound and closed between
// two listings leave PortHost behind.
func (p *ports) expire(now, after time.Duration) {
	if now-p.readAt >= after {
		p.known, p.readAt = false, now
	}
}

func (p *ports) publish(want *portBits) {
	want.without(&p.published, func(index uint32) {
		p.use.SetBits(index, maps.PortPublished)
		p.published.add(index, 1)
	})
}

func (p *ports) unpublish(want *portBits) {
	p.published.without(want, func(index uint32) { p.use.ClearBits(index, maps.PortPublished) })
	p.published = *want
}

// host marks the ports that are bound, and unmarks those that have not been for some time.
func (p *ports) host(listed map[uint32]bool, now time.Duration) {
	for index := range listed {
		if _, marked := p.bound[index]; !marked {
			p.use.SetBits(index, maps.PortHost)
			p.bound[index] = boundPort{seen: now}
		}
	}
	for index, b := range p.bound {
		b.missed++
		if listed[index] {
			b = boundPort{seen: now}
		}
		p.bound[index] = b
		if b.missed >= hostPatienceSyncs && now-b.seen >= hostPatience {
			p.use.ClearBits(index, maps.PortHost)
			delete(p.bound, index)
		}
	}
}
