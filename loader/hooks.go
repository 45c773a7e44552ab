// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/vethway/vethway/bpf"
)

// Kind says what an interface is to us.
type Kind int

const (
	Veth     Kind = iota // the host's end of a container's veth
	Spliced              // the same, of a network whose connections are spliced
	Bridge               // of a network
	Ethernet             // an uplink with a link-layer header
	Tun                  // an uplink without (tun, wireguard)
	Detour               // the way to where fragments are put in order
	Cutter               // the way to where datagrams are cut up
)

// Interface is one that programs are attached to.
type Interface struct {
	Index int
	Kind  Kind
	// Guard is for uplinks.
	Guard Guard
	// New makes sure that the attachment is looked at, not remembered: another interface may have got the number of
	// one that is gone.
	New bool
	// Optional is for interfaces that come and go without us: one that does not exist is no error.
	Optional bool
}

// attachment is a program on an interface.
type attachment struct {
	program string
	index   int
}

func (a attachment) String() string { return fmt.Sprintf("%s on interface %d", a.program, a.index) }

// ingress is the direction that a program is for.
func ingress(program string) bool {
	switch program {
	case bpf.VethwayProgVwToBridge, bpf.VethwayProgVwToUplink, bpf.VethwayProgVwToTun:
		return false
	}
	return true
}

func (i Interface) attachments() []attachment {
	switch i.Kind {
	case Veth:
		return []attachment{{bpf.VethwayProgVwFromContainer, i.Index}}
	case Spliced:
		return []attachment{{bpf.VethwayProgVwFromSpliced, i.Index}}
	case Detour:
		return []attachment{{bpf.VethwayProgVwFromDetour, i.Index}}
	case Cutter:
		return []attachment{{bpf.VethwayProgVwFromCutter, i.Index}}
	case Bridge:
		return []attachment{{bpf.VethwayProgVwToBridge, i.Index}}
	}
	// What looks at all that leaves comes first: nothing may leak while there is only one of the two.
	programs := []string{bpf.VethwayProgVwToUplink, bpf.VethwayProgVwFromUplink, bpf.VethwayProgVwGuard}
	if i.Kind == Tun {
		programs = []string{bpf.VethwayProgVwToTun, bpf.VethwayProgVwFromTun, bpf.VethwayProgVwGuardTun}
	}
	if i.Guard != GuardTC {
		programs = programs[:2]
	}
	all := make([]attachment, len(programs))
	for n, program := range programs {
		all[n] = attachment{program, i.Index}
	}
	return all
}

// devices attaches programs to interfaces in one of the two ways there are.
type devices interface {
	mode() AttachMode
	// have lists what is attached, as far as we know.
	have() []attachment
	attach(a attachment) error
	detach(a attachment) error
	// look finds out which of the attachments that we know are gone, and forgets those.
	look(only func(attachment) bool) (lost []attachment, err error)
	// repin puts missing pins back.
	repin() ([]string, error)
	list() ([]Attachment, error)
	close() error
}

// Attachment describes a program that is attached.
type Attachment struct {
	Program   string
	Index     int // ifindex; 0: to the cgroup
	Mode      AttachMode
	ProgramID uint32
	Attached  bool // false: it is pinned, but not attached any more
}

// Attach makes these interfaces, and no others, have the programs of their kinds. It goes on after an error with one
// of them, and returns all errors: ErrNoDevice for an interface that does not exist. What is attached is remembered, so
// that calling it again costs nothing; Verify looks.
func (l *Loader) Attach(want []Interface) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := []error{l.suspect(want)}
	byXDP := want
	want = l.xdp.ensure(want)
	wanted := make(map[attachment]bool, len(want))
	for _, i := range want {
		for _, a := range i.attachments() {
			wanted[a] = true
		}
	}
	have := make(map[attachment]bool)
	for _, a := range l.devices.have() {
		have[a] = true
	}
	for _, i := range want {
		for _, a := range i.attachments() {
			if have[a] {
				continue
			}
			err := l.devices.attach(a)
			if i.Optional && errors.Is(err, ErrNoDevice) {
				continue
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("attach %s: %w", a, err))
				continue
			}
			have[a] = true
			l.log.Debug("attached", "program", a.program, "ifindex", a.index)
		}
	}
	errs = append(errs, l.detachOthers(have, wanted), l.xdp.release(byXDP))
	return errors.Join(errs...)
}

// suspect looks at what is attached to interfaces that may be other ones than before.
func (l *Loader) suspect(want []Interface) error {
	suspect := make(map[int]bool)
	for _, i := range want {
		if i.New {
			suspect[i.Index] = true
		}
	}
	if len(suspect) == 0 {
		return nil
	}
	only := func(a attachment) bool { return suspect[a.index] }
	_, err := l.devices.look(only)
	_, xdpErr := l.xdp.look(only)
	return errors.Join(err, xdpErr)
}

func (l *Loader) detachOthers(have, wanted map[attachment]bool) error {
	var errs []error
	for a := range have {
		if wanted[a] {
			continue
		}
		if err := l.devices.detach(a); err != nil {
			errs = append(errs, fmt.Errorf("detach %s: %w", a, err))
			continue
		}
		l.log.Debug("detached", "program", a.program, "ifindex", a.index)
	}
	return errors.Join(errs...)
}
