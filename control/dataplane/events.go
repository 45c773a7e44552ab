// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// Events implements control.Dataplane.
func (d *Dataplane) Events(ctx context.Context, yield func(control.Event)) error {
	return d.maps.Events.Read(ctx, func(e maps.Event) {
		now := uint32(d.cfg.Clock() / time.Second)
		yield(control.Event{
			Age: time.Duration(maps.Age(now, e.Second)) * time.Second, Reason: d.maps.Names.Reason(e.Reason),
			Proto: maps.ProtocolName(e.Key.Proto), Src: e.Key.Src, Dst: e.Key.Dst, Refused: e.Refused,
		})
	})
}
