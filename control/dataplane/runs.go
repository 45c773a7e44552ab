// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"iter"
	"net/netip"
)

// run is ports in a row that lead to as many ports in a row of one target, with slots in a row.
type run struct {
	first, end uint32 // host ports, the end not included
	target     netip.AddrPort
	digest     uint64 // stands for what each of the slots was given for; 0: for nothing that is still there
	slot       uint32 // of the first port
}

// part of a run: the ports from first on, before end.
func (r run) part(first, end uint32) run {
	by := first - r.first
	r.target = netip.AddrPortFrom(r.target.Addr(), r.target.Port()+uint16(by))
	r.slot, r.first, r.end = r.slot+by, first, end
	return r
}

// continues reports whether r begins where the other ends, in every respect.
func (r run) continues(before run) bool {
	n := before.end - before.first
	return r.first == before.end && r.slot == before.slot+n && r.digest == before.digest &&
		r.target.Addr() == before.target.Addr() && uint32(r.target.Port()) == uint32(before.target.Port())+n
}

// appendRun adds a run behind the others, as a part of the last one if it can be.
func appendRun(runs []run, r run) []run {
	if last := len(runs) - 1; last >= 0 && r.continues(runs[last]) {
		runs[last].end = r.end
		return runs
	}
	return append(runs, r)
}

// without yields the parts of runs that none of the others covers. Both are in the order of ports.
func without(runs, others []run) iter.Seq[run] {
	return func(yield func(run) bool) {
		for _, r := range runs {
			for at := r.first; at < r.end; {
				for len(others) > 0 && others[0].end <= at {
					others = others[1:]
				}
				end := r.end
				if len(others) > 0 {
					if others[0].first <= at {
						at = min(others[0].end, r.end)
						continue
					}
					end = min(end, others[0].first)
				}
				if !yield(r.part(at, end)) {
					return
				}
				at = end
			}
		}
	}
}

func byPort(a, b run) int { return cmp.Compare(a.first, b.first) }
