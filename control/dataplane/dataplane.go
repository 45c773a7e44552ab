// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/maps"
)

// portsInterval is how often the port_use map is read back.
const portsInterval = time.Minute

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
	shortcuts  shortcuts
	published  published
	settings   mirror[uint32, maps.Settings]
	guards     mirror[uint32, maps.Guard]
	denied     mirror[netip.Prefix, maps.Denial]
	spliced    mirror[netip.Addr, maps.SplicedAddress]
	slots      slots
	ports      ports
	synced     bool   // since the start
	routing    uint64 // digest of the routes that flows have been told of
	verifiedAt time.Duration
	// detoured: there may be links that have fragments put together; detourError is what was logged last.
	detoured    bool
	detourError string

	policy atomic.Pointer[policy] // never nil

	collecting sync.Mutex      // one Collect at a time
	unpaired   map[uint64]bool // halves of sessions, by digest
	seed       maphash.Seed
}

var _ control.Dataplane = (*Dataplane)(nil)

// New makes a dataplane. What the maps hold is adopted by the first Sync.
func New(cfg Config) (*Dataplane, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := cfg.Loader.Maps()
	slots, err := newSlots(m)
	if err != nil {
		return nil, fmt.Errorf("dataplane: %w", err)
	}
	use, err := m.PortUse.Memory()
	if err != nil {
		return nil, fmt.Errorf("dataplane: %w", err)
	}
	d := &Dataplane{
		cfg: cfg, log: cfg.Logger, loader: cfg.Loader, maps: m, detoured: true,
		networks:  newMirror(m.Networks, cmp.Compare[uint32]),
		addresses: newMirror(m.Addresses, mostSpecificFirst),
		uplinks:   newMirror(m.Uplinks, cmp.Compare[uint32]),
		endpoints: newMirror(m.Endpoints, netip.Addr.Compare),
		veths:     newMirror(m.Veths, cmp.Compare[uint32]),
		shortcuts: shortcuts{table: m.Shortcuts},
		published: published{table: m.Published},
		settings:  newMirror(m.Settings, cmp.Compare[uint32]),
		guards:    newMirror(m.Guards, cmp.Compare[uint32]),
		denied:    newMirror(m.Denied, mostSpecificFirst),
		spliced:   newMirror(m.Spliced, netip.Addr.Compare),
		slots:     slots,
		ports:     ports{use: use},
		seed:      maphash.MakeSeed(),
	}
	d.policy.Store(&policy{common: control.DefaultTimeouts()})
	return d, nil
}

// mostSpecificFirst keeps a short prefix from catching, for a moment, what a longer one is about to say otherwise.
func mostSpecificFirst(a, b netip.Prefix) int {
	if c := cmp.Compare(b.Bits(), a.Bits()); c != 0 {
		return c
	}
	return a.Addr().Compare(b.Addr())
}

// Sync implements control.Dataplane.
func (d *Dataplane) Sync(ctx context.Context, want *control.DataplaneState) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sync the packet programs: %w", err)
	}
	err := d.sync(want)
	if errors.Is(err, maps.ErrFull) || errors.Is(err, errNoSlot) {
		err = api.Errorf(api.ResourceExhausted, "%w", err).WithHint("see how full the maps are: vethway map ls")
	}
	if err != nil {
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
	told := policyOf(want)
	told.places.endpoints = p.endpoints
	d.policy.Store(told)
	d.published.current = false
	if err := d.add(p); err != nil {
		return err
	}
	attachErr := d.loader.Attach(p.interfaces)
	if err := d.useCutter(p, attachErr == nil); err != nil {
		return err
	}
	if err := d.useDetour(p, attachErr == nil); err != nil {
		return err
	}
	if err := d.remove(p); err != nil {
		return err
	}
	d.published.asked, d.published.current = want.Published, true
	d.reroute(want.Routing)
	if attachErr != nil {
		return attachErr
	}
	return d.verify()
}

// load reads back whatever is not known of the maps.
func (d *Dataplane) load() error {
	d.slots.load()
	d.ports.load(d.cfg.Clock())
	return inOrder(
		d.networks.load, d.addresses.load, d.uplinks.load, d.endpoints.load, d.veths.load, d.shortcuts.load, d.settings.load, d.spliced.load,
		d.guards.load, d.denied.load, func() error { return d.published.load(&d.slots) },
	)
}

// add writes what is new or different, each thing before what refers to it.
func (d *Dataplane) add(p *plan) error {
	return inOrder(
		func() error { return d.slots.take(&p.slots) },
		func() error { return d.settings.add(p.settings) },
		func() error { return d.denied.add(p.denied) },
		func() error { return d.guards.add(p.guards) },
		func() error { return d.networks.add(p.networks) },
		func() error { return d.addresses.add(p.addresses) },
		func() error { return d.uplinks.add(p.uplinks) },
		func() error { d.markPorts(p); return nil },
		func() error { return d.endpoints.add(p.endpoints) },
		func() error { return d.veths.add(p.veths) },
		func() error { return d.shortcuts.add(p.shortcuts) },
		func() error { return d.useDatagrams(d.published.datagrams() || p.published.datagrams()) },
		func() error { return d.published.add(&p.published, &d.slots) },
		func() error { return d.useSplice(len(p.spliced) > 0 || len(d.spliced.have) > 0) },
		func() error { return d.spliced.add(p.spliced) },
	)
}

func (d *Dataplane) markPorts(p *plan) {
	d.ports.publish(&p.published.ports)
	d.ports.host(p.hostPorts, d.cfg.Clock())
}

// remove is add backwards, after the flows of what goes were made stale.
func (d *Dataplane) remove(p *plan) error {
	d.slots.unused(&p.slots, d.slots.bump)
	return inOrder(
		func() error { return d.spliced.remove(p.spliced) },
		func() error { return d.published.remove(&p.published) },
		func() error { return d.useDatagrams(d.published.datagrams()) },
		func() error { return d.shortcuts.remove(p.shortcuts) },
		func() error { return d.veths.remove(p.veths) },
		func() error { return d.endpoints.remove(p.endpoints) },
		func() error { d.ports.unpublish(&p.published.ports); return nil },
		func() error { return d.uplinks.remove(p.uplinks) },
		func() error { return d.addresses.remove(p.addresses) },
		func() error { return d.networks.remove(p.networks) },
		func() error { return d.denied.remove(p.denied) },
		func() error { return d.slots.release(&p.slots) },
	)
}

// reroute has every flow look for its next hop again when routes, addresses or uplinks may have changed.
func (d *Dataplane) reroute(routing uint64) {
	if d.synced && routing == d.routing && !d.addresses.changed && !d.uplinks.changed {
		return
	}
	d.slots.bump(maps.RouteSlot)
	d.synced, d.routing, d.addresses.changed, d.uplinks.changed = true, routing, false, false
}

// inOrder stops at the first error: no step may be taken before the one above it.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
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
