// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vethway/vethway/control"
)

// Of thousands of ports only those are gone through that may have changed: a list that is the same slice is not, unless there is another
// endpoint where it leads.
func TestDiffering(t *testing.T) {
	list := func(targets ...string) (ports []control.DataplanePort) {
		for i, target := range targets {
			ports = append(ports, control.DataplanePort{HostPort: uint16(i + 1), Target: netip.MustParseAddrPort(target + ":80")})
		}
		return ports
	}
	a, b, c := list("10.0.0.1", "10.0.0.1"), list("10.0.0.2", "10.0.0.2"), list("10.0.0.3")
	type lists = [][]control.DataplanePort
	for name, test := range map[string]struct {
		before, now lists
		moved       string
		gone, fresh int
	}{
		"nothing":                   {nil, nil, "", 0, 0},
		"the same":                  {lists{a, b, c}, lists{a, b, c}, "", 0, 0},
		"equal":                     {lists{a, b, c}, lists{a, slices.Clone(b), c}, "", 0, 0},
		"one more":                  {lists{a, c}, lists{a, b, c}, "", 0, 2},
		"one less":                  {lists{a, b, c}, lists{b, c}, "", 2, 0},
		"a port less":               {lists{a, b, c}, lists{a, b[:1], c}, "", 1, 0},
		"no more ports":             {lists{a, b, c}, lists{a, nil, c}, "", 2, 0},
		"another endpoint":          {lists{a, b, c}, lists{a, b, c}, "10.0.0.2", 2, 2},
		"another endpoint, for one": {lists{a, list("10.0.0.2", "10.0.0.4", "10.0.0.2"), c}, lists{a, list("10.0.0.2", "10.0.0.4", "10.0.0.2"), c}, "10.0.0.4", 1, 1},
	} {
		var moved []netip.Addr
		if test.moved != "" {
			moved = append(moved, netip.MustParseAddr(test.moved))
		}
		gone, fresh := differing(test.before, test.now, moved)
		if len(gone) != test.gone || len(fresh) != test.fresh {
			t.Errorf("%s: %d gone and %d fresh, want %d and %d: %s", name, len(gone), len(fresh), test.gone, test.fresh, fmt.Sprint(gone, fresh))
		}
	}
}

// What is done on a face does not go through what lies before and behind, but what touches it there becomes one with it.
func TestFaceIsKeptInRows(t *testing.T) {
	at := func(first, end uint32) run {
		return run{first, end, netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(first)), 1, first}
	}
	for _, test := range []struct {
		held       []run
		from, to   int
		next, want []run
	}{
		{nil, 0, 0, []run{at(5, 7)}, []run{at(5, 7)}},
		{[]run{at(1, 5), at(7, 9)}, 1, 1, []run{at(5, 7)}, []run{at(1, 9)}},
		{[]run{at(1, 4), at(8, 9)}, 1, 1, []run{at(5, 7)}, []run{at(1, 4), at(5, 7), at(8, 9)}},
		{[]run{at(1, 3), at(4, 6), at(7, 9)}, 1, 2, nil, []run{at(1, 3), at(7, 9)}},
		{[]run{at(1, 3), at(4, 6), at(7, 9)}, 1, 2, []run{at(3, 4), at(6, 7)}, []run{at(1, 4), at(6, 9)}},
		{[]run{at(1, 3)}, 0, 1, nil, nil},
	} {
		q := facePlan{held: slices.Clone(test.held), from: test.from, to: test.to, next: test.next}
		if got := q.done(); !slices.Equal(got, test.want) {
			t.Errorf("%v in place of %d to %d of %v: %v, want %v", test.next, test.from, test.to, test.held, got, test.want)
		}
	}
}
