// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/behaviour"
)

func (c Clock) seconds(jiffies uint64) uint64 { return (jiffies - c.Base) * c.Mult >> 35 }

func TestClockCountsSeconds(t *testing.T) {
	for name, tick := range map[string]time.Duration{"100 Hz": 10 * time.Millisecond, "250 Hz": 4 * time.Millisecond,
		"300 Hz": 3333333, "1000 Hz": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			perSecond := uint64((time.Second + tick/2) / tick)
			start := 1<<32 - 300*perSecond
			for _, lost := range []uint64{0, perSecond / 2, 5 * perSecond} {
				for _, up := range []time.Duration{10 * time.Second, 299 * time.Second, 301 * time.Second, 24 * time.Hour, 365 * 24 * time.Hour} {
					jiffies := start + uint64(up/tick) - lost
					c := makeClock(tick, jiffies, up)
					if again := makeClock(tick, jiffies+3, up+3*tick+tick/2); again != c {
						t.Errorf("up %s, %d ticks lost: %+v, then %+v", up, lost, c, again)
					}
					// The factor is rounded: a second in three years.
					want, got := int64(up/time.Second), int64(c.seconds(jiffies))
					if got < want-1 || got > want+1 {
						t.Errorf("up %s, %d ticks lost: %d seconds", up, lost, got)
					}
				}
			}
		})
	}
}

func TestClockIsUnknownBeforeItsBeginning(t *testing.T) {
	if c := makeClock(4*time.Millisecond, 1000, time.Minute); c != (Clock{}) {
		t.Errorf("a counter that began elsewhere: %+v", c)
	}
}

func TestClockOfThisKernel(t *testing.T) {
	behaviour.NeedRoot(t)
	c, err := readClock()
	if err != nil {
		t.Fatal(err)
	}
	jiffies, err := readJiffies()
	if err != nil {
		t.Fatal(err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	got, want := int64(c.seconds(jiffies)), now.Sec
	if got < want-2 || got > want+2 {
		t.Errorf("%+v says %d seconds, the clock %d", c, got, want)
	}
}
