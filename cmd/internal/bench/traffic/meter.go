// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/bench/stats"
)

// The unit of /proc/stat, USER_HZ, is part of the kernel's ABI.
const ticksPerSecond = 100

// meter counts one flow after its warm-up, on the thread that does the work, so that nobody has to be woken to stop it.
type meter struct {
	flow         int
	base         time.Time
	warmup, stop time.Duration
	cpus         []int // empty: somebody else's meter takes the CPU times

	counting   bool
	count      uint64
	start, end time.Duration
	busy, own  float64
	latency    *stats.Histogram
	// read is all that came over the connection, in bytes, the warm-up included; spliced is what of it never was a packet.
	read, spliced uint64
}

func newMeter(order Order, flow int) *meter {
	m := &meter{flow: flow, warmup: order.Warmup, stop: order.Warmup + order.Duration, latency: new(stats.Histogram)}
	if flow == 0 {
		m.cpus = order.CPUs
	}
	return m
}

// begin starts the clock: once the connection stands.
func (m *meter) begin() { m.base = time.Now() }

func (m *meter) now() time.Duration { return time.Since(m.base) }

// add counts n more and says whether the time is over.
func (m *meter) add(n int) (over bool) { return m.addAt(n, m.now()) }

func (m *meter) addAt(n int, now time.Duration) (over bool) {
	if m.counting {
		m.count += uint64(n)
		if now < m.stop {
			return false
		}
		m.cut(now)
		return true
	}
	if now >= m.warmup {
		m.counting = true
		m.readCPU(func(busy, own float64) { m.busy, m.own = busy, own })
		m.start = m.now()
		m.stop = m.start + m.stop - m.warmup
	}
	return false
}

// cut ends the counting, before its time if need be.
func (m *meter) cut(now time.Duration) {
	if !m.counting {
		return
	}
	m.end = now
	m.readCPU(func(busy, own float64) { m.busy, m.own = busy-m.busy, own-m.own })
}

func (m *meter) seconds() float64 { return (m.end - m.start).Seconds() }

func (m *meter) rate() float64 {
	if m.end <= m.start {
		return 0
	}
	return float64(m.count) / m.seconds()
}

func (m *meter) readCPU(take func(busy, own float64)) {
	if len(m.cpus) == 0 {
		return
	}
	busy, err := BusySeconds(m.cpus)
	if err != nil {
		return
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return
	}
	own := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	take(busy, own.Seconds())
}

// BusySeconds adds up what the CPUs have spent on anything but idling since boot, in steps of 10 ms.
func BusySeconds(cpus []int) (float64, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read CPU times: %w", err)
	}
	var ticks uint64
	for _, cpu := range cpus {
		n, err := busyTicks(data, cpu)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond, nil
}

func busyTicks(stat []byte, cpu int) (uint64, error) {
	name := "cpu" + strconv.Itoa(cpu)
	for line := range bytes.Lines(stat) {
		fields := bytes.Fields(line)
		if len(fields) < 8 || string(fields[0]) != name {
			continue
		}
		var ticks uint64
		// user nice system (idle iowait) irq softirq
		for _, i := range []int{1, 2, 3, 6, 7} {
			n, err := strconv.ParseUint(string(fields[i]), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read CPU times of %s: %w", name, err)
			}
			ticks += n
		}
		return ticks, nil
	}
	return 0, fmt.Errorf("read CPU times: no %s", name)
}
