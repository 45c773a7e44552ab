// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"time"

	"github.com/vethway/vethway/maps"
)

// A port's PortHost goes when that many Syncs in a row did not list it, for that long: a listing may be older than the
// socket, and the engine does not list anew for every Sync.
const (
	hostPatienceSyncs = 2
	hostPatience      = time.Minute
)

// ports keeps the port_use map. PortPublished is ours alone. PortHost is also set by the programs that see sockets bind;
// an update of ours that meets one of theirs may lose it, and the next listing of bound ports puts it back.
type ports struct {
	use       *maps.PortUse
	published map[uint32]bool      // have PortPublished
	bound     map[uint32]boundPort // have PortHost
	known     bool
	readAt    time.Duration
}

// boundPort is when a port was last known to be bound, and how many Syncs have not listed it since.
type boundPort struct {
	seen   time.Duration
	missed int
}

func newPorts(use *maps.PortUse) ports { return ports{use: use} }

// load reads the map back unless what it holds is known.
func (p *ports) load(now time.Duration) error {
	if p.known {
		return nil
	}
	published, bound := make(map[uint32]bool), make(map[uint32]boundPort)
	err := p.use.Each(func(index, use uint32) bool {
		if use&maps.PortPublished != 0 {
			published[index] = true
		}
		if use&maps.PortHost != 0 {
			before, ok := p.bound[index]
			if !ok {
				before.seen = now
			}
			bound[index] = before
		}
		return true
	})
	if err != nil {
		return err
	}
	p.published, p.bound, p.known = published, bound, true
	return nil
}

// expire has the map read back by the next Sync when that was too long ago: sockets that were bound and closed between
// two listings leave PortHost behind.
func (p *ports) expire(now, after time.Duration) {
	if now-p.readAt >= after {
		p.known, p.readAt = false, now
	}
}

func (p *ports) publish(want map[uint32]bool) error {
	var add []uint32
	for index := range want {
		if !p.published[index] {
			add = append(add, index)
		}
	}
	if err := p.change(add, maps.PortPublished, 0); err != nil {
		return err
	}
	for _, index := range add {
		p.published[index] = true
	}
	return nil
}

func (p *ports) unpublish(want map[uint32]bool) error {
	var gone []uint32
	for index := range p.published {
		if !want[index] {
			gone = append(gone, index)
		}
	}
	if err := p.change(gone, 0, maps.PortPublished); err != nil {
		return err
	}
	for _, index := range gone {
		delete(p.published, index)
	}
	return nil
}

// host marks the ports that are bound, and unmarks those that have not been for some time.
func (p *ports) host(listed map[uint32]bool, now time.Duration) error {
	var add, gone []uint32
	for index := range listed {
		if _, marked := p.bound[index]; !marked {
			add = append(add, index)
		}
	}
	for index, b := range p.bound {
		b.missed++
		if listed[index] {
			b = boundPort{seen: now}
		}
		p.bound[index] = b
		if b.missed >= hostPatienceSyncs && now-b.seen >= hostPatience {
			gone = append(gone, index)
		}
	}
	if err := p.change(add, maps.PortHost, 0); err != nil {
		return err
	}
	for _, index := range add {
		p.bound[index] = boundPort{seen: now}
	}
	if err := p.change(gone, 0, maps.PortHost); err != nil {
		return err
	}
	for _, index := range gone {
		delete(p.bound, index)
	}
	return nil
}

// change sets and clears bits and leaves the others as they are at this moment.
func (p *ports) change(indexes []uint32, set, clear uint32) error {
	values := make(map[uint32]uint32, len(indexes))
	for _, index := range indexes {
		use, err := p.use.Get(index)
		if err != nil {
			p.known = false
			return err
		}
		values[index] = use&^clear | set
	}
	if err := p.use.Set(values); err != nil {
		p.known = false
		return err
	}
	return nil
}
