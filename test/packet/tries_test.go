// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"testing"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// tries are the classes of the histogram, on all CPUs together.
func (w *world) tries(t testing.TB) [maps.TriesFailed + 1]uint64 {
	t.Helper()
	var total [maps.TriesFailed + 1]uint64
	for class := range total {
		var perCPU []uint64
		check(t, w.Tries.Lookup(uint32(class), &perCPU))
		for _, n := range perCPU {
			total[class] += n
		}
	}
	return total
}

// How often the allocator had to try is counted for each session that needed a port, and for no other.
func TestTries(t *testing.T) {
	const ports = 64
	eachFamily(t, knobs{poolFirst: 7001, poolLast: 7000 + ports}, func(t *testing.T, f family) {
		f.covers(t, "N14")
		f.clear(t)
		before := f.tries(t)
		since := func() (now [maps.TriesFailed + 1]uint64) {
			for class, n := range f.tries(t) {
				now[class] = n - before[class]
			}
			return now
		}
		out := f.from("c1", f.remote(), 7001, 80)
		f.external(t, "c1", out)
		if got := since(); got != [maps.TriesFailed + 1]uint64{1} {
			t.Errorf("a port that was free: %v", got)
		}
		f.external(t, "c1", out)
		in := f.inbound("eth0", f.remote(), f.host(), 40000, 8080)
		f.publishedSession(t, in, "c1", 80)
		if got := since(); got != [maps.TriesFailed + 1]uint64{1} {
			t.Errorf("what needed no port was counted: %v", got)
		}
		// Ports outside the pool cannot be kept: the first try is none.
		for i := range uint16(ports - 1) {
			_, err := run(f.FromContainer, f.from("c1", f.remote(), 20000+i, 80).bytes(), f.at("c1"))
			check(t, err)
		}
		full := since()
		var found, late uint64
		for class, n := range full[:maps.TriesFailed] {
			found += n
			if class > 2 {
				late += n
			}
		}
		// The stride is odd and the pool a power of two: every port is tried within the tries there are.
		if found != ports || full[maps.TriesFailed] != 0 || late == 0 {
			t.Errorf("%d of %d ports were found, %d of them late: %v", found, ports, late, full)
		}
		f.run(t, "one too many", f.refused("c2", f.from("c2", f.remote(), 7001, 80), bpf.VethwayDropReasonDROP_NO_PORT))
		if got := since(); got[maps.TriesFailed] != 1 {
			t.Errorf("none was free: %v", got)
		}
	})
}
