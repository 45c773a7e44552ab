// SPDX-License-Identifier: Apache-2.0

package floor

import (
	"testing"
	"time"

	"github.com/vethway/vethway/test/behaviour"
)

// What the kernel accounts for an entry is 56 bytes of its own beside key and value: a floor that is lower was not filled, one that is much
// higher is none.
func TestFlows(t *testing.T) {
	behaviour.NeedRoot(t)
	const flows = 1000
	for _, tc := range []struct {
		ipv6 bool
		data float64 // key and value
	}{{false, 16 + 24}, {true, 40 + 48}} {
		bytes, err := Flows(flows, tc.ipv6)
		if err != nil {
			t.Fatal(err)
		}
		if each := bytes / flows / 2; each < tc.data+16 || each > tc.data+64 {
			t.Errorf("ipv6 %v: %v bytes an entry of %v", tc.ipv6, each, tc.data)
		}
	}
}

// A batch that repeats keys would be faster than any that does not.
func TestPorts(t *testing.T) {
	behaviour.NeedRoot(t)
	fewAsOurs, few, err := Ports(10)
	if err != nil {
		t.Fatal(err)
	}
	manyAsOurs, many, err := Ports(20000)
	if err != nil {
		t.Fatal(err)
	}
	if few <= 0 || many < 10*few || manyAsOurs < 10*fewAsOurs || manyAsOurs > 2*time.Second {
		t.Errorf("10 ports in %v and %v, 20,000 in %v and %v", fewAsOurs, few, manyAsOurs, many)
	}
	seen := map[port]bool{}
	for _, k := range keys[port](70000) {
		seen[k] = true
	}
	if len(seen) != 70000 {
		t.Errorf("%d different keys of 70,000", len(seen))
	}
}
