// SPDX-License-Identifier: Apache-2.0

package mapcmd

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vethway/vethway/maps"
)

// sorted puts rows in the order of their columns: a hash has none, and two dumps of the same map should be the same.
func sorted(rows []maps.Row) []maps.Row {
	slices.SortStableFunc(rows, func(a, b maps.Row) int {
		for i := range min(len(a), len(b)) {
			if c := compareValues(a[i].Value, b[i].Value); c != 0 {
				return c
			}
		}
		return 0
	})
	return rows
}

// compareValues orders numbers and addresses by value, all else by its text.
func compareValues(a, b any) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case netip.Addr:
		if y, ok := b.(netip.Addr); ok {
			return x.Compare(y)
		}
	case netip.AddrPort:
		if y, ok := b.(netip.AddrPort); ok {
			return x.Compare(y)
		}
	case netip.Prefix:
		if y, ok := b.(netip.Prefix); ok {
			return x.Compare(y)
		}
	}
	x, isNumber := number(a)
	if y, too := number(b); isNumber && too {
		return cmp.Compare(x, y)
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func number(v any) (uint64, bool) {
	switch n := v.(type) {
	case uint8:
		return uint64(n), true
	case uint16:
		return uint64(n), true
	case uint32:
		return uint64(n), true
	case uint64:
		return n, true
	}
	return 0, false
}
