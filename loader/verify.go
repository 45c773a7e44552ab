// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/vethway/vethway/bpf"
)

// Verify looks whether everything is attached and pinned as it was left, puts back what somebody removed, and says
// what that was. The programs run on meanwhile: the Loader holds a descriptor of all that is pinned.
func (l *Loader) Verify() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var repaired []string
	var errs []error
	lost, err := l.devices.look(func(attachment) bool { return true })
	errs = append(errs, err)
	for _, a := range lost {
		err := l.devices.attach(a)
		if errors.Is(err, ErrNoDevice) {
			continue // it went with its interface
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("attach %s again: %w", a, err))
			continue
		}
		repaired = append(repaired, a.String())
	}
	byXDP, err := l.xdp.repair()
	errs = append(errs, err)
	repaired = append(repaired, byXDP...)
	errs = append(errs, l.lookCgroup())
	added, err := l.attachCgroup()
	errs = append(errs, err)
	repaired = append(repaired, added...)
	pins, err := l.repin()
	errs = append(errs, err)
	repaired = append(repaired, pins...)
	slices.Sort(repaired)
	return repaired, errors.Join(errs...)
}

// repin pins again what is not pinned any more.
func (l *Loader) repin() ([]string, error) {
	if err := l.makeDirectories(); err != nil {
		return nil, err
	}
	back, err := l.devices.repin()
	errs := []error{err}
	for program, ln := range l.cgroup {
		path := l.paths.Link(program, 0)
		done, err := repinLink(ln, path)
		errs = append(errs, err)
		if done {
			back = append(back, path)
		}
	}
	for name, m := range l.maps.Maps() {
		back, errs = again(l.paths.Map(name), m, back, errs)
	}
	dir := l.paths.ProgramSet(l.set.id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return back, errors.Join(append(errs, fmt.Errorf("make pin directory: %w", err))...)
	}
	for name, p := range l.set.programs {
		back, errs = again(filepath.Join(dir, name), p, back, errs)
	}
	back, errs = again(filepath.Join(dir, bpf.VethwayMapCalls), l.set.calls, back, errs)
	return back, errors.Join(errs...)
}

// clonable is a map or a program. A clone does not remember that the original was pinned, and so can be.
type clonable[T any] interface {
	Clone() (T, error)
	Pin(path string) error
	Close() error
}

func again[T clonable[T]](path string, object T, back []string, errs []error) ([]string, []error) {
	if exists(path) {
		return back, errs
	}
	clone, err := object.Clone()
	if err != nil {
		return back, append(errs, fmt.Errorf("pin %s again: %w", path, err))
	}
	defer clone.Close()
	if err := clone.Pin(path); err != nil {
		return back, append(errs, fmt.Errorf("pin %s again: %w", path, err))
	}
	return append(back, path), errs
}

// List describes everything that is attached, by interface and program.
func (l *Loader) List() ([]Attachment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.devices.list()
	if err != nil {
		return nil, err
	}
	byXDP, err := l.xdp.list()
	if err != nil {
		return nil, err
	}
	all = append(all, byXDP...)
	for program, ln := range l.cgroup {
		info, err := ln.Info()
		if err != nil {
			return nil, fmt.Errorf("describe link of %s: %w", program, err)
		}
		on, err := l.onCgroup(ln)
		if err != nil {
			return nil, err
		}
		all = append(all, Attachment{Program: program, Mode: "cgroup", ProgramID: uint32(info.Program), Attached: on})
	}
	slices.SortFunc(all, func(a, b Attachment) int {
		if a.Index != b.Index {
			return a.Index - b.Index
		}
		if a.Program < b.Program {
			return -1
		}
		return 1
	})
	return all, nil
}
