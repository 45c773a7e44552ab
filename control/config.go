// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path"
	"time"

	"github.com/vethway/vethway/control/ipam"
)

// Config is what New needs. Only the first three fields have no default.
type Config struct {
	Links     Links
	Dataplane Dataplane
	Store     Store

	Log *slog.Logger
	// Bases are where subnets are cut from for networks that do not name one.
	Bases []ipam.Base
	// Base6 is the same for IPv6; zero: a random /48 of fd00::/8, chosen once and kept in the store.
	Base6 netip.Prefix
	// MTU of networks that do not name one; 0: 1500.
	MTU int
	// Uplinks narrows the uplinks to interfaces whose names match one of these patterns; empty: all there are.
	Uplinks []string
	// Detour: the packet programs can use a detour for fragments; without one, those out of order are dropped.
	Detour bool
	// BindTCP gives TCP one external port for each internal one, too, whatever the destination.
	BindTCP bool
	// Splice: the packet programs can splice TCP connections.
	Splice bool
	// MaxFlows is how many flows a container may have begun at a time, MaxFlowRate how many it may begin in a second;
	// 0: any number.
	MaxFlows, MaxFlowRate uint32
	// NATPorts are set aside for containers to leave with: none of them is published. Zero: whatever is free is used.
	NATPorts PortSpan
	// Timeouts of flows of networks that have none of their own; the zero value stands for DefaultTimeouts.
	Timeouts Timeouts
	// Guard is what is dropped before anything else looks at it.
	Guard Guard
	// AllowShortTimeouts lets networks have timeouts that are shorter than the RFCs allow.
	AllowShortTimeouts bool
	// ReconcileInterval is how often the host is compared with the desired state without cause; 0: 30 s.
	ReconcileInterval time.Duration
	// CollectInterval is how often idle flows are collected; 0: 5 s.
	CollectInterval time.Duration
	// Debounce is how long the host must have stood still after a change before it is compared; 0: 50 ms.
	Debounce time.Duration

	// The rest is shown by Status and nothing more.
	Version    string
	Netns      string
	StateFile  string
	AttachMode string
	Features   []string
	FlowTable  int // flows of each family that it holds
}

func (c *Config) setDefaults() error {
	if c.Links == nil || c.Dataplane == nil || c.Store == nil {
		return errors.New("control: Links, Dataplane and Store must be given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Bases) == 0 {
		c.Bases = ipam.DefaultBases()
	}
	for _, b := range c.Bases {
		if err := b.Validate(); err != nil {
			return err
		}
		if !b.Prefix.Addr().Is4() {
			return fmt.Errorf("address pool %s is not IPv4", b.Prefix)
		}
	}
	if p := c.Base6; p.IsValid() {
		if err := (ipam.Base{Prefix: p, Size: 64}).Validate(); err != nil {
			return err
		}
		if !p.Addr().Is6() {
			return fmt.Errorf("IPv6 address pool %s is not IPv6", p)
		}
	}
	for _, pattern := range c.Uplinks {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("uplink pattern %q: %w", pattern, err)
		}
	}
	if err := c.Guard.XDP.check(); err != nil {
		return err
	}
	if c.Timeouts == (Timeouts{}) {
		c.Timeouts = DefaultTimeouts()
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if err := checkMTU(c.MTU, false); err != nil {
		return err
	}
	for field, def := range map[*time.Duration]time.Duration{
		&c.ReconcileInterval: 30 * time.Second, &c.CollectInterval: 5 * time.Second, &c.Debounce: 50 * time.Millisecond,
	} {
		if *field < 0 {
			return fmt.Errorf("interval %s is negative", *field)
		}
		if *field == 0 {
			*field = def
		}
	}
	return nil
}
