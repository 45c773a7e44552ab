// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"net/netip"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestChunksAreAllThereIs(t *testing.T) {
	f := face{netip.IPv4Unspecified(), 6}
	to := netip.MustParseAddrPort("172.30.1.2:1")
	rapid.Check(t, func(t *rapid.T) {
		var all []stretch
		at := uint32(1)
		for range rapid.IntRange(0, 8).Draw(t, "runs") {
			end := at + rapid.Uint32Range(1, 3000).Draw(t, "ports")
			all = append(all, stretch{f, run{first: at, end: end, target: to, slot: at + 7}})
			at = end + 1
		}
		var mu sync.Mutex
		seen := map[uint32]bool{}
		err := inChunks(all, func(chunk []stretch) error {
			mu.Lock()
			defer mu.Unlock()
			n := uint32(0)
			for _, s := range chunk {
				n += s.run.end - s.run.first
				for port := s.run.first; port < s.run.end; port++ {
					if seen[port] || s.run.part(port, port+1).slot != port+7 {
						t.Fatalf("port %d twice, or with a wrong slot: %+v", port, s.run)
					}
					seen[port] = true
				}
			}
			if n > chunkSize {
				t.Fatalf("a chunk of %d ports", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, s := range all {
			want += int(s.run.end - s.run.first)
		}
		if len(seen) != want {
			t.Fatalf("%d ports of %d", len(seen), want)
		}
	})
	wrong := errors.New("wrong")
	all := []stretch{{f, run{first: 1, end: 60000, target: to}}}
	if err := inChunks(all, func([]stretch) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("an error is %v", err)
	}
}
