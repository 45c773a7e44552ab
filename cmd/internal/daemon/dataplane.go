// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/link"
)

// dataplane is what the daemon needs of the packet programs beyond what the engine does.
type dataplane interface {
	control.Dataplane
	AttachMode() string
	Features() []string
	Close() error
}

// noDataplane carries no packet: bridges alone do.
type noDataplane struct{}

func (noDataplane) Sync(context.Context, *control.DataplaneState) error         { return nil }
func (noDataplane) Collect(context.Context) (int, error)                        { return 0, nil }
func (noDataplane) Flush(context.Context, func(control.Flow) bool) (int, error) { return 0, nil }
func (noDataplane) Flows(context.Context, func(control.Flow) bool) error        { return nil }
func (noDataplane) Drops(context.Context) ([]control.DropCount, error)          { return nil, nil }
func (noDataplane) AttachMode() string                                          { return "none" }
func (noDataplane) Features() []string                                          { return nil }
func (noDataplane) Close() error                                                { return nil }

func openDataplane(context.Context, Config, *link.Links, *slog.Logger) (dataplane, error) {
	return noDataplane{}, nil
}

func removeDataplane(context.Context, Config, *link.Links, *slog.Logger) error { return nil }
