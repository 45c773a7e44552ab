// SPDX-License-Identifier: Apache-2.0

// Package frames sends generated frames through a target: the kernel's own test runner of XDP programs puts them on a veth
// at a rate that no socket reaches, so that what is measured is the way and next to nothing else.
//
//	client                                                server
//	sender (XDP, live frames) -> veth -> ... the way ... -> counter (tc ingress), which drops
//
// All of it happens on one CPU: a batch is sent, and the softirqs that follow carry it to the counter before the next.
package frames

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/bench/machine"
	"github.com/vethway/vethway/test/netlab"
)

const (
	liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
	// Frames that one call sends. The kernel allocates its pages anew for each call, and waits for grace periods, so calls must be long.
	chunk   = 1 << 15
	payload = 64
)

// Config says between whom frames go.
type Config struct {
	Client, Server *netlab.Namespace
	// Others are the target's namespaces: one of them has the other end of the client's veth.
	Others []*netlab.Namespace
	// Dial is where a client would send to.
	Dial netip.AddrPort
	// Flows is how many different sources there are.
	Flows int
	// Strangers leaves the client's own address away: none of its flows then is one of these.
	Strangers bool
	// CPU is where everything happens.
	CPU int
}

// Rig is a sender and a counter in place.
type Rig struct {
	cfg     Config
	sender  *ebpf.Program
	arrived *ebpf.Map
	place   *ebpf.Map
	data    []byte
	closers []func() error
}

// New puts sender and counter in place, once a real datagram has shown the way: its frame is the model.
func New(ctx context.Context, cfg Config) (_ *Rig, err error) {
	r := &Rig{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("prepare generated frames to %s: %w", cfg.Dial, err), r.Close())
		}
	}()
	way, err := explore(ctx, cfg.Client, cfg.Dial)
	if err != nil {
		return nil, err
	}
	if err := r.receive(way); err != nil {
		return nil, err
	}
	if err := r.count(); err != nil {
		return nil, err
	}
	return r, r.prepare(way)
}

// receive has the other end of the client's veth take frames: it does when it polls, which it does when GRO is on.
func (r *Rig) receive(w way) error {
	ns, device, err := w.otherEnd(r.cfg.Others)
	if err != nil {
		return err
	}
	was, err := machine.GRO(ns, device)
	if err != nil || was {
		return err
	}
	if err := machine.SetGRO(ns, device, true); err != nil {
		return err
	}
	r.onClose(func() error { return machine.SetGRO(ns, device, false) })
	return nil
}

func (r *Rig) count() error {
	var err error
	if r.arrived, err = tally("bench_arrived"); err != nil {
		return err
	}
	r.onClose(r.arrived.Close)
	program, err := counter(r.arrived)
	if err != nil {
		return err
	}
	r.onClose(program.Close)
	links, err := r.cfg.Server.Links()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Kind != "veth" {
			continue
		}
		err := r.cfg.Server.Do(func() error {
			attached, err := link.AttachTCX(link.TCXOptions{
				Interface: l.Index, Program: program, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
			})
			if err != nil {
				return fmt.Errorf("attach the counter to %s in %s: %w", l.Name, r.cfg.Server, err)
			}
			r.onClose(attached.Close)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) prepare(w way) error {
	list := w.frames(r.cfg.Dial, r.cfg.Flows, r.cfg.Strangers)
	r.data = list[0]
	table, err := heads(list)
	if err != nil {
		return err
	}
	r.onClose(table.Close)
	if r.place, err = tally("bench_place"); err != nil {
		return err
	}
	r.onClose(r.place.Close)
	if r.sender, err = sender(w.link.Index, table, r.place); err != nil {
		return err
	}
	r.onClose(r.sender.Close)
	return nil
}

// Sample is what came of sending for some time.
type Sample struct {
	Sent, Arrived uint64
	// Seconds is how much CPU time the sending thread had, the softirqs on top of it included: all that is done for a frame. What passes besides, the
	// runner sleeps between its calls, 20 ms each (Linux 6.18).
	Seconds float64
}

// Run sends for as long as it is told to, and counts after the warm-up.
func (r *Rig) Run(ctx context.Context, warmup, duration time.Duration) (Sample, error) {
	s, err := r.RunLossy(ctx, warmup, duration)
	if err == nil && s.Arrived == 0 {
		return Sample{}, fmt.Errorf("send generated frames: none of %d arrived", s.Sent)
	}
	return s, err
}

// RunLossy is Run where nothing need arrive.
func (r *Rig) RunLossy(ctx context.Context, warmup, duration time.Duration) (s Sample, err error) {
	err = onCPU(r.cfg.Client, r.cfg.CPU, func() error {
		if err := r.sendFor(ctx, warmup); err != nil {
			return err
		}
		sent, arrived, err := r.read()
		if err != nil {
			return err
		}
		began := threadTime()
		if err := r.sendFor(ctx, duration); err != nil {
			return err
		}
		s.Seconds = (threadTime() - began).Seconds()
		if s.Sent, s.Arrived, err = r.read(); err != nil {
			return err
		}
		s.Sent, s.Arrived = s.Sent-sent, s.Arrived-arrived
		return nil
	})
	if err != nil {
		return Sample{}, fmt.Errorf("send generated frames: %w", err)
	}
	return s, nil
}

// Send sends so many, and tells how many arrived.
func (r *Rig) Send(ctx context.Context, frames int) (arrived uint64, err error) {
	_, before, err := r.read()
	if err != nil {
		return 0, err
	}
	err = onCPU(r.cfg.Client, r.cfg.CPU, func() error {
		for frames > 0 && ctx.Err() == nil {
			n := min(frames, chunk)
			if err := r.send(n); err != nil {
				return err
			}
			frames -= n
		}
		return ctx.Err()
	})
	if err != nil {
		return 0, fmt.Errorf("send generated frames: %w", err)
	}
	_, after, err := r.read()
	return after - before, err
}

func (r *Rig) sendFor(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.send(chunk); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) send(n int) error {
	_, err := r.sender.Run(&ebpf.RunOptions{Data: r.data, Repeat: uint32(n), Flags: liveFrames})
	return err
}

func (r *Rig) read() (sent, arrived uint64, err error) {
	if sent, err = sum(r.place); err != nil {
		return 0, 0, err
	}
	arrived, err = sum(r.arrived)
	return sent, arrived, err
}

// onCPU runs f in a namespace on one CPU.
func onCPU(ns *netlab.Namespace, cpu int, f func() error) error {
	return ns.Do(func() (err error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var before, only unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return fmt.Errorf("ask for the CPUs of this thread: %w", err)
		}
		only.Set(cpu)
		if err := unix.SchedSetaffinity(0, &only); err != nil {
			return fmt.Errorf("pin thread to CPU %d: %w", cpu, err)
		}
		defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &before)) }()
		return f()
	})
}

// threadTime is what the thread has been billed until now; nothing where the kernel does not tell. Getrusage would tell
// what it had been billed at the last tick of the scheduler, up to 4 ms ago.
func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

func (r *Rig) onClose(f func() error) { r.closers = append(r.closers, f) }

// Close takes sender and counter away.
func (r *Rig) Close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	r.closers = nil
	return errors.Join(errs...)
}
