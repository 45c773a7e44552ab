// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"
	"time"

	"github.com/vethway/vethway/bpf"
)

// Guards holds, in its only entry, what is dropped before anything else looks at it.
type Guards = Table[uint32, Guard]

// GuardFlags are the GUARD_* bits of bpf/lib/layout.h.
type GuardFlags uint32

const (
	GuardDenied GuardFlags = 1 // the deny list has entries
	GuardClosed GuardFlags = 2 // ports that nobody has are closed, in the range
)

// Guard is what is dropped before anything else looks at it.
type Guard struct {
	Flags                   GuardFlags
	ClosedFirst, ClosedLast uint16
	Interval                time.Duration // that a flow to a published port costs its source; 0: nothing
	Burst                   time.Duration // that a source may be ahead
}

func guardsWire() wire[uint32, Guard] {
	return codec[uint32, Guard, uint32, bpf.VethwayGuardValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Guard) bpf.VethwayGuardValue {
			return bpf.VethwayGuardValue{
				Flags: uint32(v.Flags), ClosedFirst: v.ClosedFirst, ClosedLast: v.ClosedLast,
				Interval: uint64(v.Interval), Burst: uint64(v.Burst),
			}
		},
		unvalue: func(v bpf.VethwayGuardValue) Guard {
			return Guard{
				Flags: GuardFlags(v.Flags), ClosedFirst: v.ClosedFirst, ClosedLast: v.ClosedLast,
				Interval: time.Duration(v.Interval), Burst: time.Duration(v.Burst),
			}
		},
	}
}

func guardRow(_ uint32, v Guard) Row {
	return Row{
		{"flags", bitNames(uint32(v.Flags), "denied", "closed")},
		{"closed_first", v.ClosedFirst},
		{"closed_last", v.ClosedLast},
		{"interval_ns", uint64(v.Interval)},
		{"burst_ns", uint64(v.Burst)},
	}
}

// Denied is the deny list: nothing from these prefixes comes in. Lookup finds the longest one that covers its key.
type Denied = Table[netip.Prefix, Denial]

// Denial is an entry of the deny list. That it is there says it all.
type Denial struct{}

func deniedWire() wire[netip.Prefix, Denial] {
	return codec[netip.Prefix, Denial, bpf.VethwayAddressKey, bpf.VethwayDeniedValue]{
		key: toPrefix, unkey: fromPrefix,
		value:   func(Denial) bpf.VethwayDeniedValue { return bpf.VethwayDeniedValue{} },
		unvalue: func(bpf.VethwayDeniedValue) Denial { return Denial{} },
	}
}

func deniedRow(k netip.Prefix, _ Denial) Row { return Row{{"prefix", k}} }

// Sources are those who begin flows to published ports, by address; of IPv6, by the first half of it.
type Sources = Table[netip.Addr, Source]

// Source is who begins flows.
type Source struct {
	Due time.Duration // CLOCK_MONOTONIC: when all that it has begun is paid for
}

func sourcesWire() wire[netip.Addr, Source] {
	return codec[netip.Addr, Source, bpf.VethwayAddr, bpf.VethwaySourceValue]{
		key: toAddr, unkey: fromAddr,
		value:   func(v Source) bpf.VethwaySourceValue { return bpf.VethwaySourceValue{Due: uint64(v.Due)} },
		unvalue: func(v bpf.VethwaySourceValue) Source { return Source{Due: time.Duration(v.Due)} },
	}
}

func sourceRow(k netip.Addr, v Source) Row {
	return Row{
		{"source", k},
		{"due_ns", uint64(v.Due)},
	}
}
