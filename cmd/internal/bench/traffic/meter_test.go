// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"testing"
	"time"
)

func TestBusyTicks(t *testing.T) {
	const stat = "cpu  10 20 30 400 50 6 7 0 0 0\ncpu0 1 2 3 40 5 6 7 8 0 0\ncpu10 100 0 0 0 0 0 0 0 0 0\nintr 5\n"
	for cpu, want := range map[int]uint64{0: 1 + 2 + 3 + 6 + 7, 10: 100} {
		if got, err := busyTicks([]byte(stat), cpu); err != nil || got != want {
			t.Errorf("busyTicks of CPU %d = %d, %v, want %d", cpu, got, err, want)
		}
	}
	if _, err := busyTicks([]byte(stat), 1); err == nil {
		t.Error("a CPU that does not exist was busy")
	}
}

func TestMeterLeavesTheWarmupOut(t *testing.T) {
	m := newMeter(Order{Warmup: 10 * time.Millisecond, Duration: 100 * time.Millisecond}, 1)
	m.begin()
	for _, early := range []time.Duration{0, 5 * time.Millisecond, 10 * time.Millisecond} {
		if m.addAt(7, early) {
			t.Fatal("over before it began")
		}
	}
	if m.count != 0 {
		t.Errorf("%d counted in the warm-up", m.count)
	}
	if m.addAt(30, m.start+50*time.Millisecond) {
		t.Error("over at half time")
	}
	if !m.addAt(20, m.start+100*time.Millisecond) {
		t.Error("not over at the end")
	}
	if m.count != 50 || m.rate() != 500 {
		t.Errorf("%d counted at a rate of %v, want 50 and 500", m.count, m.rate())
	}
}
