// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/maps"
)

// Drops implements control.Dataplane.
func (d *Dataplane) Drops(context.Context) ([]control.DropCount, error) {
	var drops []control.DropCount
	err := d.maps.Counters.Each(func(k maps.CounterKey, v maps.Counter) bool {
		if v.Packets != 0 {
			drops = append(drops, control.DropCount{
				Hook: d.maps.Names.Hook(k.Hook), Reason: d.maps.Names.Reason(k.Reason), Packets: v.Packets, Bytes: v.Bytes,
			})
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read drops: %w", err)
	}
	slices.SortFunc(drops, func(a, b control.DropCount) int {
		return cmp.Or(cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.Reason, b.Reason))
	})
	return drops, nil
}
