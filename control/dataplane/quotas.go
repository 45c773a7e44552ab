// SPDX-License-Identifier: Apache-2.0

package dataplane

import "github.com/vethway/vethway/maps"

// tightQuotas lists the slots of containers that have begun more than their due part of what they may.
func (d *Dataplane) tightQuotas(limit uint32) (map[uint32]bool, error) {
	if limit == 0 {
		return nil, nil
	}
	tight := make(map[uint32]bool)
	err := d.maps.Quotas.Each(func(slot uint32, q maps.Quota) bool {
		if uint64(q.Flows)*pressureDenominator > uint64(limit)*pressureNumerator {
			tight[slot] = true
		}
		return true
	})
	return tight, err
}
