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
	Defragment(path string, cookie uint64) error
	// Splice makes ready for splicing, or ends that.
	Splice(on bool) error
	// Datagrams makes ready for datagrams of the host's own to published ports, or ends that.
	Datagrams(on bool) error
	Verify() ([]string, error)
	Collect(key, reverse maps.FlowKey, seen, reverseSeen uint32) (bool, error)
	Retire(key, reverse maps.FlowKey, seen, reverseSeen uint32) (bool, error)
	// Pool is the range of source ports that containers leave with.
	Pool() (first, last uint16)
	CollectBinding(key maps.BindingKey, seen uint32) (bool, error)
	RestBinding(key maps.BindingKey, seen, since uint32) (bool, error)
}

// Config is what New needs. Only Loader has no default.
type Config struct {
	Loader Loader
	Logger *slog.Logger
	// Clock is CLOCK_MONOTONIC, the clock that flows are stamped with.
	Clock func() time.Duration
	// VerifyInterval is how often a Sync looks whether everything is still attached and pinned; 0: 5 s, negative: never.
	VerifyInterval time.Duration
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
	return nil
}

// monotonic reads a clock that New has seen to work.
func monotonic() time.Duration {
	seconds, err := maps.Monotonic()
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
