// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// Guard says where what is not to come in at all is dropped on an uplink.
type Guard int

const (
	NoGuard         Guard = iota
	GuardTC               // in front of the uplink's program
	GuardXDP              // by the driver, and in front of the uplink's program where the driver does not
	GuardXDPGeneric       // by XDP behind the driver, for those that have none
)

// How vw_xdp runs, as Attachment.Mode says it.
const (
	AttachXDP        AttachMode = "xdp"
	AttachXDPGeneric AttachMode = "xdp-generic"
)

// isXDPLink tells the links of XDP programs from others.
func isXDPLink(program string) bool {
	return program == bpf.VethwayProgVwXdp || program == bpf.VethwayProgVwXdpGeneric
}

// xdp attaches vw_xdp or vw_xdp_generic, by links. It is never the only one to do its work: an interface that refuses it has vw_guard.
type xdp struct {
	paths   maps.Paths
	set     *programSet
	log     *slog.Logger
	links   map[attachment]link.Link
	refused map[attachment]bool // not tried again before the interface is another one
}

func newXDP(paths maps.Paths, set *programSet, log *slog.Logger) *xdp {
	return &xdp{paths: paths, set: set, log: log, links: make(map[attachment]link.Link), refused: make(map[attachment]bool)}
}

// adopt opens the pinned links and points them to the running program. One whose interface is gone goes.
func (x *xdp) adopt() error {
	files, err := readDir(x.paths.Links())
	if err != nil {
		return err
	}
	for _, base := range files {
		program, index, err := maps.ParseLink(base)
		if err != nil || !isXDPLink(program) {
			continue
		}
		ln, err := openLink(filepath.Join(x.paths.Links(), base))
		if err != nil {
			return err
		}
		if err := x.adoptLink(attachment{program, index}, ln); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	return nil
}

func (x *xdp) adoptLink(a attachment, ln link.Link) error {
	on, err := onXDP(a, ln)
	if err != nil {
		return err
	}
	prog := x.set.programs[a.program]
	if !on || prog == nil {
		return drop(ln)
	}
	if err := update(ln, prog, x.set.ids[a.program]); err != nil {
		return fmt.Errorf("update %s: %w", a, err)
	}
	x.links[a] = ln
	return nil
}

// onXDP reports whether the link is still where it was.
func onXDP(a attachment, ln link.Link) (bool, error) {
	info, err := ln.Info()
	if err != nil {
		return false, fmt.Errorf("describe link of %s: %w", a, err)
	}
	on := info.XDP()
	return on != nil && int(on.Ifindex) == a.index, nil
}

// attachment is what the interface is to have; false: nothing.
func (i Interface) xdp() (attachment, bool) {
	switch i.Guard {
	case GuardXDP:
		return attachment{bpf.VethwayProgVwXdp, i.Index}, true
	case GuardXDPGeneric:
		return attachment{bpf.VethwayProgVwXdpGeneric, i.Index}, true
	}
	return attachment{}, false
}

// ensure attaches the program where it is wanted, and returns want as it is left to others: without a guard where the program
// runs, and with vw_guard where it was refused.
func (x *xdp) ensure(want []Interface) []Interface {
	left := make([]Interface, len(want))
	for n, i := range want {
		if a, ok := i.xdp(); ok {
			i.Guard = GuardTC
			if i.New {
				delete(x.refused, a)
			}
			if x.have(a) {
				i.Guard = NoGuard
			}
		}
		left[n] = i
	}
	return left
}

// have reports whether the program runs there, which it attaches unless that was tried in vain.
func (x *xdp) have(a attachment) bool {
	if x.links[a] != nil {
		return true
	}
	if x.refused[a] {
		return false
	}
	err := x.attach(a)
	if err == nil {
		x.log.Info("attached", "program", a.program, "ifindex", a.index)
		return true
	}
	// One that does not exist will be missed by whoever attaches the other programs.
	if !errors.Is(err, ErrNoDevice) {
		x.refused[a] = true
		x.log.Warn("no XDP on an interface: what is not to come in is dropped later, and dearer", "ifindex", a.index, "error", err)
	}
	return false
}

func (x *xdp) attach(a attachment) error {
	prog, flags := x.set.programs[a.program], link.XDPDriverMode
	other := attachment{bpf.VethwayProgVwXdpGeneric, a.index}
	if a.program == bpf.VethwayProgVwXdpGeneric {
		flags, other.program = link.XDPGenericMode, bpf.VethwayProgVwXdp
	}
	if prog == nil {
		return errors.New("the kernel does not take the program")
	}
	// An interface runs XDP in one way at a time.
	if err := x.detach(other); err != nil {
		return err
	}
	ln, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: a.index, Flags: flags})
	// EINVAL is what the kernel says to an interface that does not exist, among other things.
	if errors.Is(err, unix.ENODEV) {
		return ErrNoDevice
	}
	if err != nil {
		return wrapPermission("make link", err)
	}
	path := x.paths.Link(a.program, a.index)
	if err := errors.Join(remove(path), ln.Pin(path)); err != nil {
		return errors.Join(fmt.Errorf("pin link: %w", err), ln.Close())
	}
	x.links[a] = ln
	return nil
}

func (x *xdp) detach(a attachment) error {
	ln := x.links[a]
	if ln == nil {
		return nil
	}
	delete(x.links, a)
	if err := drop(ln); err != nil {
		return fmt.Errorf("detach %s: %w", a, err)
	}
	x.log.Info("detached", "program", a.program, "ifindex", a.index)
	return nil
}

// release takes the program off every interface where it is not wanted.
func (x *xdp) release(want []Interface) error {
	wanted := make(map[attachment]bool, len(want))
	for _, i := range want {
		if a, ok := i.xdp(); ok {
			wanted[a] = true
		}
	}
	var errs []error
	for a := range x.links {
		if !wanted[a] {
			errs = append(errs, x.detach(a))
		}
	}
	for a := range x.refused {
		if !wanted[a] {
			delete(x.refused, a)
		}
	}
	return errors.Join(errs...)
}

// look forgets links whose interface is gone, or that somebody detached, and returns them.
func (x *xdp) look(only func(attachment) bool) (lost []attachment, err error) {
	for a, ln := range x.links {
		if !only(a) {
			continue
		}
		on, lookErr := onXDP(a, ln)
		if lookErr != nil {
			err = errors.Join(err, lookErr)
			continue
		}
		if !on {
			delete(x.links, a)
			err = errors.Join(err, ln.Unpin(), ln.Close())
			lost = append(lost, a)
		}
	}
	return lost, err
}

// repair puts back what was detached and unpinned.
func (x *xdp) repair() (repaired []string, err error) {
	lost, err := x.look(func(attachment) bool { return true })
	errs := []error{err}
	for _, a := range lost {
		if x.have(a) {
			repaired = append(repaired, a.String())
		}
	}
	for a, ln := range x.links {
		path := x.paths.Link(a.program, a.index)
		done, err := repinLink(ln, path)
		errs = append(errs, err)
		if done {
			repaired = append(repaired, path)
		}
	}
	return repaired, errors.Join(errs...)
}

func (x *xdp) list() ([]Attachment, error) {
	all := make([]Attachment, 0, len(x.links))
	for a, ln := range x.links {
		info, err := ln.Info()
		if err != nil {
			return nil, fmt.Errorf("describe link of %s: %w", a, err)
		}
		on, mode := info.XDP(), AttachXDP
		if a.program == bpf.VethwayProgVwXdpGeneric {
			mode = AttachXDPGeneric
		}
		all = append(all, Attachment{
			Program: a.program, Index: a.index, Mode: mode, ProgramID: uint32(info.Program),
			Attached: on != nil && int(on.Ifindex) == a.index,
		})
	}
	return all, nil
}

func (x *xdp) close() error {
	var errs []error
	for _, ln := range x.links {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}
