// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"github.com/vethway/vethway/bpf"
)

// Quotas counts what each container has begun, by the slot of its endpoint.
type Quotas = Table[uint32, Quota]

// Quota is one container's.
type Quota struct {
	Flows   uint32 // it has now
	Second  uint32 // CLOCK_MONOTONIC seconds that the next two are about
	Begun   uint32 // flows begun in that second
	Told    uint32 // refusals that it was told of in that second
	Refused uint64 // flows, since it was attached
}

func quotasWire() wire[uint32, Quota] {
	return codec[uint32, Quota, uint32, bpf.VethwayQuotaValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Quota) bpf.VethwayQuotaValue {
			return bpf.VethwayQuotaValue{Flows: v.Flows, Second: v.Second, Begun: v.Begun, Told: v.Told, Refused: v.Refused}
		},
		unvalue: func(v bpf.VethwayQuotaValue) Quota {
			return Quota{Flows: v.Flows, Second: v.Second, Begun: v.Begun, Told: v.Told, Refused: v.Refused}
		},
	}
}

func quotaRow(k uint32, v Quota) Row {
	return Row{
		{"slot", k},
		{"flows", v.Flows},
		{"refused", v.Refused},
	}
}
