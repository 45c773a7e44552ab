// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/maps"
)

// tcx attaches by links, which are pinned and updated in place.
type tcx struct {
	paths maps.Paths
	set   *programSet
	links map[attachment]link.Link
}

func (t *tcx) mode() AttachMode { return AttachTCX }

// adopt opens the pinned links and points those of ours to the running programs. Links of devices that are gone, and
// of programs that are no more, go.
func (t *tcx) adopt() error {
	files, err := readDir(t.paths.Links())
	if err != nil {
		return err
	}
	for _, base := range files {
		program, index, err := maps.ParseLink(base)
		if err != nil || index == 0 || isDefragLink(program) || isXDPLink(program) {
			continue
		}
		if err := t.adoptLink(attachment{program, index}, filepath.Join(t.paths.Links(), base)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tcx) adoptLink(a attachment, path string) error {
	ln, err := openLink(path)
	if err != nil {
		return err
	}
	on, err := t.attached(a, ln)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	prog := t.set.programs[a.program]
	if !on || prog == nil {
		return errors.Join(ln.Unpin(), ln.Close())
	}
	if err := update(ln, prog, t.set.ids[a.program]); err != nil {
		return errors.Join(fmt.Errorf("update %s: %w", a, err), ln.Close())
	}
	t.links[a] = ln
	return nil
}

// openLink opens a pinned link; ErrForeignPin if it is something else.
func openLink(path string) (link.Link, error) {
	ln, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, fs.ErrPermission) {
		return nil, wrapPermission("open "+path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrForeignPin, err)
	}
	return ln, nil
}

// update points a link to a program, unless it does already.
func update(ln link.Link, prog *ebpf.Program, id ebpf.ProgramID) error {
	info, err := ln.Info()
	if err != nil {
		return fmt.Errorf("describe link: %w", err)
	}
	if info.Program == id {
		return nil
	}
	if err := ln.Update(prog); err != nil {
		return fmt.Errorf("replace program: %w", err)
	}
	return nil
}

// attached reports whether the link is still where it was: the kernel sets the interface of a link to 0 when the
// interface goes, or when somebody detaches it.
func (t *tcx) attached(a attachment, ln link.Link) (bool, error) {
	info, err := ln.Info()
	if err != nil {
		return false, fmt.Errorf("describe link of %s: %w", a, err)
	}
	x := info.TCX()
	return x != nil && int(x.Ifindex) == a.index, nil
}

func (t *tcx) have() []attachment {
	have := make([]attachment, 0, len(t.links))
	for a := range t.links {
		have = append(have, a)
	}
	return have
}

func (t *tcx) attach(a attachment) error {
	where := ebpf.AttachTCXEgress
	if ingress(a.program) {
		where = ebpf.AttachTCXIngress
	}
	ln, err := link.AttachTCX(link.TCXOptions{
		Interface: a.index, Program: t.set.programs[a.program], Attach: where, Anchor: t.place(a),
	})
	if errors.Is(err, unix.ENODEV) {
		return ErrNoDevice
	}
	if err != nil {
		return wrapPermission("make link", err)
	}
	path := t.paths.Link(a.program, a.index)
	// We hold every link that is pinned, so a pin in the way is of one that we gave up.
	if err := remove(path); err != nil {
		return errors.Join(err, ln.Close())
	}
	if err := ln.Pin(path); err != nil {
		return errors.Join(fmt.Errorf("pin link: %w", err), ln.Close())
	}
	t.links[a] = ln
	return nil
}

// place is the head: a verdict of somebody before us hides packets from us, and isolation must not hang on that. But what the guard
// drops, the uplink's program must not have taken before.
func (t *tcx) place(a attachment) link.Anchor {
	guard := map[string]string{
		bpf.VethwayProgVwFromUplink: bpf.VethwayProgVwGuard, bpf.VethwayProgVwFromTun: bpf.VethwayProgVwGuardTun,
	}[a.program]
	if ln := t.links[attachment{guard, a.index}]; ln != nil {
		return link.AfterLink(ln)
	}
	return link.Head()
}

// detach closes the link after it was unpinned; somebody else's descriptor must not keep it.
func (t *tcx) detach(a attachment) error {
	ln := t.links[a]
	delete(t.links, a)
	return drop(ln)
}

// drop ends a link for good.
func drop(ln link.Link) error {
	err := ln.Detach()
	// The device is gone, and the link with it.
	if errors.Is(err, unix.ENOLINK) || errors.Is(err, link.ErrNotSupported) {
		err = nil
	}
	return errors.Join(err, ln.Unpin(), ln.Close())
}

func (t *tcx) look(only func(attachment) bool) (lost []attachment, err error) {
	for a, ln := range t.links {
		if !only(a) {
			continue
		}
		on, lookErr := t.attached(a, ln)
		if lookErr != nil {
			err = errors.Join(err, lookErr)
			continue
		}
		if !on {
			delete(t.links, a)
			err = errors.Join(err, ln.Unpin(), ln.Close())
			lost = append(lost, a)
		}
	}
	return lost, err
}

func (t *tcx) repin() ([]string, error) {
	var back []string
	var errs []error
	for a, ln := range t.links {
		path := t.paths.Link(a.program, a.index)
		done, err := repinLink(ln, path)
		if err != nil {
			errs = append(errs, err)
		}
		if done {
			back = append(back, path)
		}
	}
	return back, errors.Join(errs...)
}

// repinLink pins a link whose pin is missing, and reports whether it did.
func repinLink(ln link.Link, path string) (bool, error) {
	if exists(path) {
		return false, nil
	}
	// The link remembers where it was pinned, and would do nothing.
	if err := ln.Unpin(); err != nil {
		return false, fmt.Errorf("pin %s again: %w", path, err)
	}
	if err := ln.Pin(path); err != nil {
		return false, fmt.Errorf("pin %s again: %w", path, err)
	}
	return true, nil
}

func (t *tcx) list() ([]Attachment, error) {
	all := make([]Attachment, 0, len(t.links))
	for a, ln := range t.links {
		info, err := ln.Info()
		if err != nil {
			return nil, fmt.Errorf("describe link of %s: %w", a, err)
		}
		x := info.TCX()
		all = append(all, Attachment{
			Program: a.program, Index: a.index, Mode: AttachTCX, ProgramID: uint32(info.Program),
			Attached: x != nil && int(x.Ifindex) == a.index,
		})
	}
	return all, nil
}

func (t *tcx) close() error {
	var errs []error
	for _, ln := range t.links {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}
