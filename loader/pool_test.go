// SPDX-License-Identifier: Apache-2.0

package loader

import "testing"

func TestChoosePool(t *testing.T) {
	for _, tc := range []struct {
		localFirst, localLast, first, last uint16
		ok                                 bool
	}{
		{32768, 60999, 1024, 32767, true},
		{1024, 32767, 32768, 65535, true},
		{10000, 60999, 1024, 9999, true},
		{5000, 60000, 60001, 65535, true},
		{1024, 65535, 0, 0, false},
		{1200, 65400, 0, 0, false},
		{1, 500, 1024, 65535, true},
	} {
		first, last, ok := choosePool(tc.localFirst, tc.localLast)
		if first != tc.first || last != tc.last || ok != tc.ok {
			t.Errorf("beside %d-%d: %d-%d %v, want %d-%d %v", tc.localFirst, tc.localLast, first, last, ok, tc.first, tc.last, tc.ok)
		}
	}
}
