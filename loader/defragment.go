// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/loader/excursion"
	"github.com/vethway/vethway/maps"
)

const (
	// flagIPDefrag is BPF_F_NETFILTER_IP_DEFRAG.
	flagIPDefrag = 1
	// defragPriority is behind NF_IP_PRI_CONNTRACK_DEFRAG, as the kernel wants it with that flag.
	defragPriority = -399
)

// defragFamilies are the suffixes of the links' names; the cookie of the namespace stands where others have their ifindex.
func defragFamilies() map[string]link.NetfilterProtocolFamily {
	return map[string]link.NetfilterProtocolFamily{"4": link.NetfilterProtoIPv4, "6": link.NetfilterProtoIPv6}
}

// isDefragLink tells the links of vw_defragment from others.
func isDefragLink(program string) bool {
	return strings.HasPrefix(program, bpf.VethwayProgVwDefragment)
}

// Defragment makes the kernel put fragments together in one network namespace and no other: the one at path, of that cookie. With an
// empty path it ends that. ErrNoDefragment. What is attached is left as it is: the program does nothing, whichever version it is.
func (l *Loader) Defragment(path string, cookie uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if path != "" && !l.features.Defragment {
		return ErrNoDefragment
	}
	if path != "" && l.defrag == cookie && l.defragPinned(cookie) {
		return nil
	}
	l.defrag = 0
	have, err := l.defragLinks(cookie, path != "")
	if err != nil || path == "" {
		return err
	}
	for suffix, family := range defragFamilies() {
		pin := l.paths.Link(bpf.VethwayProgVwDefragment+suffix, int(cookie))
		if have[filepath.Base(pin)] {
			continue
		}
		if err := l.attachDefrag(path, pin, family); err != nil {
			return fmt.Errorf("have fragments put together in %s: %w", path, err)
		}
		l.log.Debug("attached", "program", bpf.VethwayProgVwDefragment, "namespace", path)
	}
	l.defrag = cookie
	return nil
}

func (l *Loader) defragPinned(cookie uint64) bool {
	for suffix := range defragFamilies() {
		if !exists(l.paths.Link(bpf.VethwayProgVwDefragment+suffix, int(cookie))) {
			return false
		}
	}
	return true
}

// defragLinks drops links of other namespaces, which would keep those alive, and returns the others' names.
func (l *Loader) defragLinks(cookie uint64, wanted bool) (map[string]bool, error) {
	files, err := readDir(l.paths.Links())
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool)
	for _, base := range files {
		program, number, err := maps.ParseLink(base)
		if err != nil || !isDefragLink(program) {
			continue
		}
		ln, err := openLink(filepath.Join(l.paths.Links(), base))
		if err != nil {
			return nil, err
		}
		if wanted && uint64(number) == cookie {
			have[base] = true
			err = ln.Close()
		} else {
			err = drop(ln)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", base, err)
		}
	}
	return have, nil
}

func (l *Loader) attachDefrag(path, pin string, family link.NetfilterProtocolFamily) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	return excursion.Into(ns, func() error {
		ln, err := attachNetfilter(l.set.programs[bpf.VethwayProgVwDefragment], family)
		if err != nil {
			return wrapPermission("attach "+bpf.VethwayProgVwDefragment, err)
		}
		// The pin holds the link; nothing is ever changed about it.
		return errors.Join(ln.Pin(pin), ln.Close())
	})
}

func attachNetfilter(prog *ebpf.Program, family link.NetfilterProtocolFamily) (link.Link, error) {
	return link.AttachNetfilter(link.NetfilterOptions{
		Program: prog, ProtocolFamily: family, Hook: link.NetfilterInetPreRouting, Priority: defragPriority,
		NetfilterFlags: flagIPDefrag,
	})
}

// probeDefragment tries it in a namespace that ends with the probe: the flag came after the program type, and some kernels are built
// without the modules that do the work.
func probeDefragment() (bool, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "vw_probe", Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	if err != nil {
		return false, nil // before 6.4
	}
	defer prog.Close()
	works := true
	err = excursion.IntoNew(func() error {
		for _, family := range defragFamilies() {
			ln, err := attachNetfilter(prog, family)
			if err != nil {
				works = false
				continue
			}
			if err := ln.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("probe for putting fragments together: %w", err)
	}
	return works, nil
}
