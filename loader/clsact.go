// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
)

// clsactPriority is where a filter of ours stands among others of the same hook: in front, and the guard before the rest.
func clsactPriority(program string) uint16 {
	switch program {
	case bpf.VethwayProgVwGuard, bpf.VethwayProgVwGuardTun:
		return 1
	}
	return 2
}

// clsact attaches by tc filters, which live as long as their interface; there is nothing to pin.
type clsact struct {
	tc      Clsact
	set     *programSet
	filters map[attachment]uint32 // program number
}

func (c *clsact) mode() AttachMode { return AttachClsact }

// adopt finds our filters and points them to the running programs.
func (c *clsact) adopt() error {
	filters, err := c.tc.ListClsact()
	if err != nil {
		return err
	}
	for _, f := range filters {
		a := attachment{f.Name, f.Ifindex}
		prog := c.set.programs[f.Name]
		if prog == nil || ingress(f.Name) != f.Ingress {
			if err := c.tc.DetachClsact(f.Ifindex, f.Ingress, f.Name, f.Priority); err != nil {
				return err
			}
			continue
		}
		if f.ProgramID != uint32(c.set.ids[f.Name]) {
			if err := c.tc.AttachClsact(f.Ifindex, f.Ingress, prog.FD(), f.Name, f.Priority); err != nil {
				return err
			}
		}
		c.filters[a] = uint32(c.set.ids[f.Name])
	}
	return nil
}

func (c *clsact) have() []attachment {
	have := make([]attachment, 0, len(c.filters))
	for a := range c.filters {
		have = append(have, a)
	}
	return have
}

func (c *clsact) attach(a attachment) error {
	err := c.tc.AttachClsact(a.index, ingress(a.program), c.set.programs[a.program].FD(), a.program, clsactPriority(a.program))
	if errors.Is(err, unix.ENODEV) {
		return ErrNoDevice
	}
	if err != nil {
		return err
	}
	c.filters[a] = uint32(c.set.ids[a.program])
	return nil
}

func (c *clsact) detach(a attachment) error {
	if err := c.tc.DetachClsact(a.index, ingress(a.program), a.program, clsactPriority(a.program)); err != nil {
		return err
	}
	delete(c.filters, a)
	return nil
}

func (c *clsact) look(only func(attachment) bool) (lost []attachment, err error) {
	filters, err := c.tc.ListClsact()
	if err != nil {
		return nil, err
	}
	on := make(map[attachment]uint32, len(filters))
	for _, f := range filters {
		on[attachment{f.Name, f.Ifindex}] = f.ProgramID
	}
	for a, id := range c.filters {
		if only(a) && on[a] != id {
			delete(c.filters, a)
			lost = append(lost, a)
		}
	}
	return lost, nil
}

func (c *clsact) repin() ([]string, error) { return nil, nil }

func (c *clsact) list() ([]Attachment, error) {
	filters, err := c.tc.ListClsact()
	if err != nil {
		return nil, err
	}
	var all []Attachment
	for _, f := range filters {
		all = append(all, Attachment{Program: f.Name, Index: f.Ifindex, Mode: AttachClsact, ProgramID: f.ProgramID, Attached: true})
	}
	return all, nil
}

func (c *clsact) close() error { return nil }

// openDevices chooses the way to attach, adopts what is attached in that way, and removes what is attached in the other.
func (l *Loader) openDevices() error {
	want := l.cfg.AttachMode
	if want == AttachAuto {
		want = AttachClsact
		if l.features.TCX {
			want = AttachTCX
		}
	}
	if want == AttachTCX {
		if !l.features.TCX {
			return ErrNoTCX
		}
		t := &tcx{paths: l.paths, set: l.set, links: make(map[attachment]link.Link)}
		l.devices = t
		if err := t.adopt(); err != nil {
			return err
		}
		return l.replaceClsact()
	}
	if l.cfg.Clsact == nil {
		return fmt.Errorf("%w, and nobody was given who attaches by clsact", ErrNoTCX)
	}
	c := &clsact{tc: l.cfg.Clsact, set: l.set, filters: make(map[attachment]uint32)}
	l.devices = c
	if err := c.adopt(); err != nil {
		return err
	}
	return l.replaceTCX()
}

// replaceClsact moves what an earlier run attached by clsact over to tcx: the new before the old goes, so that no
// packet is seen by neither.
func (l *Loader) replaceClsact() error {
	if l.cfg.Clsact == nil {
		return nil
	}
	filters, err := l.cfg.Clsact.ListClsact()
	if err != nil {
		return err
	}
	have := make(map[attachment]bool)
	for _, a := range l.devices.have() {
		have[a] = true
	}
	for _, f := range filters {
		a := attachment{f.Name, f.Ifindex}
		if l.set.programs[f.Name] != nil && !have[a] {
			if err := l.devices.attach(a); err != nil && !errors.Is(err, ErrNoDevice) {
				return fmt.Errorf("attach %s: %w", a, err)
			}
		}
		if err := l.cfg.Clsact.DetachClsact(f.Ifindex, f.Ingress, f.Name, f.Priority); err != nil {
			return err
		}
	}
	return nil
}

// replaceTCX is the same the other way round.
func (l *Loader) replaceTCX() error {
	t := &tcx{paths: l.paths, set: l.set, links: make(map[attachment]link.Link)}
	if err := t.adopt(); err != nil {
		return errors.Join(err, t.close())
	}
	for _, a := range t.have() {
		if _, ok := l.devices.(*clsact).filters[a]; !ok {
			if err := l.devices.attach(a); err != nil && !errors.Is(err, ErrNoDevice) {
				return errors.Join(fmt.Errorf("attach %s: %w", a, err), t.close())
			}
		}
		if err := t.detach(a); err != nil {
			return errors.Join(err, t.close())
		}
	}
	return nil
}
