// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/vethway/vethway/maps"
)

// cgroupPrograms are the programs for sockets of the host, with the hook that each is for.
func cgroupPrograms(spec *ebpf.CollectionSpec) map[string]ebpf.AttachType {
	hooks := make(map[string]ebpf.AttachType)
	for name, p := range spec.Programs {
		switch p.Type {
		case ebpf.CGroupSockAddr, ebpf.CGroupSock, ebpf.CGroupSockopt, ebpf.SockOps:
			hooks[name] = p.AttachType
		}
	}
	return hooks
}

// openCgroup adopts the pinned cgroup links, points them to the running programs, and attaches what is missing.
func (l *Loader) openCgroup(spec *ebpf.CollectionSpec) error {
	hooks := cgroupPrograms(spec)
	if l.cfg.CgroupPath == "" {
		hooks = nil
	}
	l.set.cgroup = hooks
	if err := l.adoptCgroup(); err != nil {
		return err
	}
	if err := l.openSplice(); err != nil {
		return err
	}
	for program := range l.cgroup {
		l.datagrams = l.datagrams || isDatagramHook(program)
	}
	_, err := l.attachCgroup()
	return err
}

func (l *Loader) adoptCgroup() error {
	files, err := readDir(l.paths.Links())
	if err != nil {
		return err
	}
	for _, base := range files {
		program, index, err := maps.ParseLink(base)
		if err != nil || index != 0 {
			continue
		}
		ln, err := openLink(filepath.Join(l.paths.Links(), base))
		if err != nil {
			return err
		}
		if err := l.adoptCgroupLink(program, ln); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	return nil
}

func (l *Loader) adoptCgroupLink(program string, ln link.Link) error {
	on, err := l.onCgroup(ln)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if _, wanted := l.set.cgroup[program]; !wanted || !on {
		return drop(ln)
	}
	if err := update(ln, l.set.programs[program], l.set.ids[program]); err != nil {
		return fmt.Errorf("update %s: %w", program, err)
	}
	l.cgroup[program] = ln
	return nil
}

// onCgroup reports whether the link is attached to the configured cgroup, whose number is that of its directory.
func (l *Loader) onCgroup(ln link.Link) (bool, error) {
	if l.cfg.CgroupPath == "" {
		return false, nil
	}
	info, err := ln.Info()
	if err != nil {
		return false, fmt.Errorf("describe link: %w", err)
	}
	st, err := os.Stat(l.cfg.CgroupPath)
	if err != nil {
		return false, fmt.Errorf("find the cgroup: %w", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	cg := info.Cgroup()
	return ok && cg != nil && cg.CgroupId == sys.Ino, nil
}

// idle says whether nobody has asked for what only this program is for.
func (l *Loader) idle(program string) bool {
	return isSpliceHook(program) && !l.splice || isDatagramHook(program) && !l.datagrams
}

// attachCgroup attaches what is not and should be, and returns the names.
func (l *Loader) attachCgroup() ([]string, error) {
	var added []string
	for program, hook := range l.set.cgroup {
		if l.cgroup[program] != nil || l.idle(program) {
			continue
		}
		ln, err := link.AttachCgroup(link.CgroupOptions{
			Path: l.cfg.CgroupPath, Attach: hook, Program: l.set.programs[program],
		})
		if err != nil {
			return added, wrapPermission(fmt.Sprintf("attach %s to cgroup %s", program, l.cfg.CgroupPath), err)
		}
		path := l.paths.Link(program, 0)
		if err := errors.Join(remove(path), ln.Pin(path)); err != nil {
			return added, errors.Join(fmt.Errorf("pin link of %s: %w", program, err), ln.Close())
		}
		l.cgroup[program] = ln
		added = append(added, program)
	}
	return added, nil
}

// detachCgroup takes some programs off.
func (l *Loader) detachCgroup(which func(program string) bool) error {
	var errs []error
	for program, ln := range l.cgroup {
		if which(program) {
			delete(l.cgroup, program)
			errs = append(errs, drop(ln))
		}
	}
	return errors.Join(errs...)
}

// lookCgroup forgets links that were detached by somebody.
func (l *Loader) lookCgroup() error {
	var errs []error
	for program, ln := range l.cgroup {
		on, err := l.onCgroup(ln)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", program, err))
			continue
		}
		if !on {
			delete(l.cgroup, program)
			errs = append(errs, ln.Unpin(), ln.Close())
		}
	}
	return errors.Join(errs...)
}
