// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vethway/vethway/loader"
	"github.com/vethway/vethway/maps"
)

// Loader is what the dataplane needs of package loader.
type Loader interface {
	Maps() *maps.Set
	Attach(want []loader.Interface) error
	Verify() ([]string, error)
	Collect(key, reverse maps.FlowKey, seen, reverseSeen uint32) (bool, error)
	CollectBinding(key maps.BindingKey, seen uint32) (bool, error)
}

// Config is what New needs. Only Loader has no default.
type Config struct {
	Loader Loader
	Logger *slog.Logger
	// Clock is CLOCK_MONOTONIC, the clock that flows are stamped with.
	Clock func() time.Duration
	// Timeouts of idle flows.
	Timeouts Timeouts
	// VerifyInterval is how often a Sync looks whether everything is still attached and pinned; 0: 5 s, negative: never.
	VerifyInterval time.Duration
}

// Timeouts say how long a flow may be idle. Zeros stand for the defaults.
type Timeouts struct {
	TCPEstablished time.Duration // 2 h 4 min (RFC 5382 REQ-5)
	TCPTransitory  time.Duration // 4 min (RFC 5382 REQ-5): before it is established, and after FIN or RST
	UDPOneWay      time.Duration // 2 min (RFC 4787 REQ-5)
	UDPTwoWay      time.Duration // 5 min (RFC 4787 REQ-5)
	ICMP           time.Duration // 60 s (RFC 5508 REQ-2)
	// PortRest is how long an external port stays with its internal endpoint after its last flow: 2 min (RFC 6888
	// REQ-8).
	PortRest time.Duration
}

func (t *Timeouts) complete() error {
	for field, def := range map[*time.Duration]time.Duration{
		&t.TCPEstablished: 7440 * time.Second, &t.TCPTransitory: 240 * time.Second,
		&t.UDPOneWay: 120 * time.Second, &t.UDPTwoWay: 300 * time.Second, &t.ICMP: 60 * time.Second,
		&t.PortRest: 120 * time.Second,
	} {
		if *field < 0 {
			return fmt.Errorf("timeout %s is negative", *field)
		}
		if *field == 0 {
			*field = def
		}
	}
	return nil
}

func (c *Config) complete() error {
	if c.Loader == nil {
		return errors.New("dataplane: no loader given")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		if _, err := maps.Monotonic(); err != nil {
			return fmt.Errorf("dataplane: %w", err)
		}
		c.Clock = monotonic
	}
	if c.VerifyInterval == 0 {
		c.VerifyInterval = 5 * time.Second
	}
	return c.Timeouts.complete()
}

// monotonic reads a clock that New has seen to work.
func monotonic() time.Duration {
	seconds, err := maps.Monotonic()
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
