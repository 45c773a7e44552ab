// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// Loader is the running programs and their maps.
type Loader struct {
	cfg      Config
	paths    maps.Paths
	log      *slog.Logger
	features Features
	maps     *maps.Set
	set      *programSet

	poolFirst, poolLast uint16 // as the programs have it

	mu      sync.Mutex
	devices devices // how programs are attached to interfaces
	xdp     *xdp
	cgroup  map[string]link.Link // by program
	// splice, datagrams: the cgroup has the programs that only these need.
	splice, datagrams bool
	defrag            uint64 // cookie of the namespace where fragments are put together; 0: not known
}

// Open loads the programs, or adopts them if the very same ones are pinned, brings everything that is attached up to
// date, and attaches the programs for sockets of the host. After an error nothing that ran before has stopped.
// ErrForeignPin, ErrKernelTooOld, ErrNoBTF, ErrMissingCapability, ErrNoTCX.
func Open(ctx context.Context, cfg Config) (*Loader, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	features, err := Probe()
	if err != nil {
		return nil, err
	}
	// Since 5.11 maps and programs are charged to the cgroup, and the limit is of no account: failing to lift it is
	// no reason to stop.
	if err := rlimit.RemoveMemlock(); err != nil {
		cfg.Logger.Debug("memory lock limit stays", "error", err)
	}
	l := &Loader{
		cfg: cfg, paths: maps.Paths{Root: cfg.PinDir}, log: cfg.Logger, features: features,
		cgroup: make(map[string]link.Link),
	}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Loader) open(ctx context.Context) error {
	if err := l.makeDirectories(); err != nil {
		return err
	}
	if err := l.checkPins(); err != nil {
		return err
	}
	spec, err := bpf.LoadVethway()
	if err != nil {
		return fmt.Errorf("read the object: %w", err)
	}
	if !l.features.Defragment {
		// A kernel before 6.4 does not even know its type. Without it, fragments out of order are dropped.
		delete(spec.Programs, bpf.VethwayProgVwDefragment)
	}
	if !l.features.XDP {
		delete(spec.Programs, bpf.VethwayProgVwXdp)
		delete(spec.Programs, bpf.VethwayProgVwXdpGeneric)
	}
	if l.features.Splice = l.features.Splice && l.cfg.CgroupPath != ""; !l.features.Splice {
		withoutSplice(spec)
	}
	if err := l.openMaps(spec); err != nil {
		return err
	}
	if l.set, err = l.openPrograms(spec); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.openDevices(); err != nil {
		return err
	}
	l.xdp = newXDP(l.paths, l.set, l.log)
	if err := l.xdp.adopt(); err != nil {
		return err
	}
	if err := l.openCgroup(spec); err != nil {
		return err
	}
	if err := l.removeOldSets(); err != nil {
		return err
	}
	return l.removeOldMaps()
}

func (l *Loader) makeDirectories() error {
	for _, dir := range []string{l.paths.Maps(), l.paths.Programs(), l.paths.Links()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make pin directory: %w", err)
		}
	}
	return nil
}

// Maps are the handles on the maps; they are closed with the Loader.
func (l *Loader) Maps() *maps.Set { return l.maps }

// Features of the kernel.
func (l *Loader) Features() Features { return l.features }

// Mode says how programs are attached to interfaces: AttachTCX or AttachClsact.
func (l *Loader) Mode() AttachMode { return l.devices.mode() }

// Pool is the range of source ports that containers' packets leave with.
func (l *Loader) Pool() (first, last uint16) { return l.poolFirst, l.poolLast }

// SetID names the running program set.
func (l *Loader) SetID() string { return l.set.id }

// Collect runs vw_gc: it deletes the two entries of a session unless one of them was seen since, and reports whether
// it did. An entry that does not exist counts as not seen.
func (l *Loader) Collect(key, reverse maps.FlowKey, seen, reverseSeen uint32) (bool, error) {
	return l.run(bpf.VethwayProgVwGc, maps.CollectArgs(key, reverse, seen, reverseSeen))
}

// Retire is Collect, but for the NAT port: it stays taken by what is left of the session.
func (l *Loader) Retire(key, reverse maps.FlowKey, seen, reverseSeen uint32) (bool, error) {
	return l.run(bpf.VethwayProgVwGc, maps.RetireArgs(key, reverse, seen, reverseSeen))
}

// CollectBinding runs vw_gc_binding: it deletes the binding of an internal endpoint unless a flow was made by it since,
// and reports whether it did.
func (l *Loader) CollectBinding(key maps.BindingKey, seen uint32) (bool, error) {
	return l.run(bpf.VethwayProgVwGcBinding, maps.CollectBindingArgs(key, seen))
}

// RestBinding runs it to let a binding rest since a time, in seconds of the kernel's clock, unless a flow was made by it since; 0 wakes it.
func (l *Loader) RestBinding(key maps.BindingKey, seen, since uint32) (bool, error) {
	return l.run(bpf.VethwayProgVwGcBinding, maps.RestBindingArgs(key, seen, since))
}

// run runs a program that says yes or no.
func (l *Loader) run(program string, args any) (bool, error) {
	ret, err := l.set.programs[program].Run(&ebpf.RunOptions{Context: args})
	if err != nil {
		return false, fmt.Errorf("run %s: %w", program, err)
	}
	return ret == 1, nil
}

// Close lets go of everything, and stops nothing: what is pinned runs on.
func (l *Loader) Close() error {
	var errs []error
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.cgroup {
		errs = append(errs, ln.Close())
	}
	if l.devices != nil {
		errs = append(errs, l.devices.close())
	}
	if l.xdp != nil {
		errs = append(errs, l.xdp.close())
	}
	if l.set != nil {
		errs = append(errs, l.set.close())
	}
	if l.maps != nil {
		errs = append(errs, l.maps.Close())
	}
	return errors.Join(errs...)
}
