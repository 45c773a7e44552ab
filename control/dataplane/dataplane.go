// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// portsInterval is how often the port_use map is read back.
const portsInterval = 5 * time.Minute

// Dataplane implements control.Dataplane. Its methods may be called at the same time.
type Dataplane struct {
	cfg    Config
	log    *slog.Logger
	loader Loader
	maps   *maps.Set

	mu         sync.Mutex // one Sync at a time; guards all below but generations' numbers
	networks   mirror[uint32, maps.Network]
	addresses  mirror[netip.Prefix, maps.Address]
	uplinks    mirror[uint32, maps.Uplink]
	endpoints  mirror[netip.Addr, maps.Endpoint]
	veths      mirror[uint32, maps.Veth]
	published  mirror[maps.PublishedKey, maps.PublishedPort]
	slots      slots
	ports      ports
	synced     bool   // since the start
	routing    uint64 // digest of the routes that flows have been told of
	verifiedAt time.Duration

	collecting sync.Mutex // one Collect at a time
	unpaired   map[uint64]bool
	seed       maphash.Seed
}

var _ control.Dataplane = (*Dataplane)(nil)

// New makes a dataplane. What the maps hold is adopted by the first Sync.
func New(cfg Config) (*Dataplane, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := cfg.Loader.Maps()
	return &Dataplane{
		cfg: cfg, log: cfg.Logger, loader: cfg.Loader, maps: m,
		networks:  newMirror(m.Networks, cmp.Compare[uint32]),
		addresses: newMirror(m.Addresses, mostSpecificFirst),
		uplinks:   newMirror(m.Uplinks, cmp.Compare[uint32]),
		endpoints: newMirror(m.Endpoints, netip.Addr.Compare),
		veths:     newMirror(m.Veths, cmp.Compare[uint32]),
		published: newMirror(m.Published, comparePublished),
		slots:     newSlots(m.Generations, m.Incarnations),
		ports:     newPorts(m.PortUse),
		seed:      maphash.MakeSeed(),
	}, nil
}

// mostSpecificFirst keeps a short prefix from catching, for a moment, what a longer one is about to say otherwise.
func mostSpecificFirst(a, b netip.Prefix) int {
	if c := cmp.Compare(b.Bits(), a.Bits()); c != 0 {
		return c
	}
	return a.Addr().Compare(b.Addr())
}

func comparePublished(a, b maps.PublishedKey) int {
	if a.Addr.Addr().IsUnspecified() != b.Addr.Addr().IsUnspecified() {
		if b.Addr.Addr().IsUnspecified() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Proto, b.Proto))
}

// Sync implements control.Dataplane.
func (d *Dataplane) Sync(ctx context.Context, want *control.DataplaneState) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sync the packet programs: %w", err)
	}
	if err := d.sync(want); err != nil {
		return fmt.Errorf("sync the packet programs: %w", err)
	}
	return nil
}

func (d *Dataplane) sync(want *control.DataplaneState) error {
	d.ports.expire(d.cfg.Clock(), portsInterval)
	if err := d.load(); err != nil {
		return err
	}
	p, err := d.plan(want)
	if err != nil {
		return err
	}
	routes, err := d.add(p)
	if err != nil {
		return err
	}
	attachErr := d.loader.Attach(p.interfaces)
	moved, err := d.remove(p)
	if err != nil {
		return err
	}
	if routes || moved || !d.synced || want.Routing != d.routing {
		if err := d.slots.bump(maps.RouteSlot); err != nil {
			return err
		}
	}
	d.synced, d.routing = true, want.Routing
	if attachErr != nil {
		return attachErr
	}
	return d.verify()
}

// load reads back whatever is not known of the maps.
func (d *Dataplane) load() error {
	for _, load := range []func() error{
		d.networks.load, d.addresses.load, d.uplinks.load, d.endpoints.load, d.veths.load, d.published.load,
		d.slots.load, d.ports.load,
	} {
		if err := load(); err != nil {
			return err
		}
	}
	return nil
}

// add writes what is new or different, each thing before what refers to it. It reports whether routing may have changed.
func (d *Dataplane) add(p *plan) (routes bool, err error) {
	if err := d.slots.take(p.slots); err != nil {
		return false, err
	}
	if _, err := d.networks.add(p.networks); err != nil {
		return false, err
	}
	addresses, err := d.addresses.add(p.addresses)
	if err != nil {
		return false, err
	}
	uplinks, err := d.uplinks.add(p.uplinks)
	if err != nil {
		return false, err
	}
	if err := d.ports.publish(p.ports); err != nil {
		return false, err
	}
	if err := d.ports.host(p.hostPorts); err != nil {
		return false, err
	}
	if _, err := d.endpoints.add(p.endpoints); err != nil {
		return false, err
	}
	if _, err := d.veths.add(p.veths); err != nil {
		return false, err
	}
	_, err = d.published.add(p.published)
	return addresses+uplinks > 0, err
}

// remove is add backwards, after the flows of what goes were made stale.
func (d *Dataplane) remove(p *plan) (routes bool, err error) {
	gone := d.slots.unused(p.slots)
	if err := d.slots.bump(gone...); err != nil {
		return false, err
	}
	if _, err := d.published.remove(p.published); err != nil {
		return false, err
	}
	if _, err := d.veths.remove(p.veths); err != nil {
		return false, err
	}
	if _, err := d.endpoints.remove(p.endpoints); err != nil {
		return false, err
	}
	if err := d.ports.unpublish(p.ports); err != nil {
		return false, err
	}
	uplinks, err := d.uplinks.remove(p.uplinks)
	if err != nil {
		return false, err
	}
	addresses, err := d.addresses.remove(p.addresses)
	if err != nil {
		return false, err
	}
	if _, err := d.networks.remove(p.networks); err != nil {
		return false, err
	}
	return addresses+uplinks > 0, d.slots.release(gone)
}

// verify looks from time to time whether somebody removed a program or a pin, and puts it back.
func (d *Dataplane) verify() error {
	now := d.cfg.Clock()
	if d.cfg.VerifyInterval < 0 || d.verifiedAt != 0 && now-d.verifiedAt < d.cfg.VerifyInterval {
		return nil
	}
	d.verifiedAt = now
	repaired, err := d.loader.Verify()
	if len(repaired) > 0 {
		d.log.Warn("put back what had been removed", "what", repaired)
	}
	return err
}
