// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Clock turns the kernel's tick counter, jiffies, into seconds of CLOCK_MONOTONIC: (jiffies - Base) * Mult / 2^35. The
// zero Clock says that this is not known.
type Clock struct {
	Base uint64 // ticks
	Mult uint64 // seconds a tick, times 2^35
}

// startBeforeWrap is how long before the wrap of its lower half the kernel lets its tick counter start, on purpose
// (INITIAL_JIFFIES).
const startBeforeWrap = 300 * time.Second

// readClock compares the tick counter with the clock. They run in step: the kernel advances the counter by the clock.
func readClock() (Clock, error) {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil {
		return Clock{}, fmt.Errorf("read the length of a tick: %w", err)
	}
	tick := time.Duration(resolution.Nano())
	if tick < time.Second/10000 || tick > time.Second/50 {
		return Clock{}, nil
	}
	jiffies, err := readJiffies()
	if err != nil {
		return Clock{}, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return Clock{}, fmt.Errorf("read the clock: %w", err)
	}
	return makeClock(tick, jiffies, time.Duration(now.Nano())), nil
}

// makeClock is the same on every call while the kernel runs, so that the programs are the same: what ticks were lost
// while the kernel booted counts in whole seconds only.
func makeClock(tick time.Duration, jiffies uint64, now time.Duration) Clock {
	perSecond := uint64((time.Second + tick/2) / tick)
	base := uint64(1)<<32 - uint64(startBeforeWrap/time.Second)*perSecond
	// 128 bits: half a million years of nanoseconds do not fit into 64.
	hi, lo := bits.Mul64(jiffies-base, uint64(tick))
	if jiffies < base || hi != 0 || lo > math.MaxInt64 {
		return Clock{}
	}
	ahead := (time.Duration(lo) - now) / time.Second
	base += uint64(int64(ahead) * int64(perSecond))
	mult := (uint64(tick)<<35 + uint64(time.Second)/2) / uint64(time.Second)
	return Clock{Base: base, Mult: mult}
}

// readJiffies runs a program that answers with the counter, in two halves.
func readJiffies() (uint64, error) {
	var halves [2]uint64
	for i, shift := range []int32{0, 32} {
		v, err := runClock(shift)
		if err != nil {
			return 0, err
		}
		halves[i] = uint64(v)
	}
	return halves[1]<<32 | halves[0], nil
}

func runClock(shift int32) (uint32, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "vw_probe", Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.FnJiffies64.Call(),
			asm.RSh.Imm(asm.R0, shift),
			asm.Return(),
		},
	})
	if err != nil {
		return 0, wrapPermission("read the tick counter", err)
	}
	defer prog.Close()
	v, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 14)})
	if err != nil {
		return 0, fmt.Errorf("read the tick counter: %w", err)
	}
	return v, nil
}
