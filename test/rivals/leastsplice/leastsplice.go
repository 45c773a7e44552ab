// SPDX-License-Identifier: Apache-2.0

// Package leastsplice has sockets of one host hand each other what they send,
// by the smallest programs that this can be done with:
//
//	each connection  one insert for each end, when it is established: into a
//	                 hash, by the addresses and ports that the other end sends
//	                 with
//	each message     one look-up by what the sender's context holds, as it lies
//	                 there
//
// Whose sockets these are is written into the program. There is no storage, no
// counter, no bound on what waits for a reader, no look at whether that may
// sleep, what it has set, or is still allowed to be there, and nothing is ever
// collected: the kernel takes a socket out that is closed. Less could only be
// done for what is sent by a program that is not run for each message, whose
// verdict the kernel keeps for a number of bytes (bpf_msg_apply_bytes). It could
// not see to it that what waits stays within bounds: each message takes a KiB
// of memory, however few bytes it has, and the kernel limits neither.
package leastsplice

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// capacity is how many ends each hash has room for.
const capacity = 1 << 16

// Rules say whose sockets are spliced: those that are in one of the namespaces,
// by their cookies, and have such an address at either end. An address belongs
// to one namespace alone. Cgroup is the directory of the cgroup whose sockets the
// program sees at all.
type Rules struct {
	Cgroup     string
	Namespaces []uint64
	Addresses  []netip.Addr
}

// Splice is the hashes of sockets and the programs.
type Splice struct {
	closers []io.Closer
}

// New has all connections spliced that are made from then on. The program that
// sees them is run for all sockets of the cgroup, and leaves those of others
// with a few compares; it is gone when Splice is closed, or with this process.
func New(r Rules) (*Splice, error) {
	s := &Splice{}
	if err := s.attach(r); err != nil {
		return nil, errors.Join(fmt.Errorf("splice sockets: %w", err), s.Close())
	}
	return s, nil
}

func (s *Splice) attach(r Rules) error {
	if len(r.Namespaces) == 0 || len(r.Addresses) == 0 {
		return errors.New("they are nobody's")
	}
	hashes := map[family]*ebpf.Map{}
	for _, f := range families() {
		hash, err := s.hash(f)
		if err != nil {
			return err
		}
		hashes[f] = hash
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "least_splice", Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps, Instructions: join(r, hashes), License: "Dual BSD/GPL",
	})
	if err != nil {
		return err
	}
	attached, err := link.AttachCgroup(link.CgroupOptions{Path: r.Cgroup, Attach: ebpf.AttachCGroupSockOps, Program: p})
	// The link holds the program.
	if err = errors.Join(err, p.Close()); err != nil {
		return err
	}
	s.closers = append(s.closers, attached)
	return nil
}

// hash makes that of a family's sockets. What these send asks a program.
func (s *Splice) hash(f family) (*ebpf.Map, error) {
	hash, err := ebpf.NewMap(&ebpf.MapSpec{Name: f.name, Type: ebpf.SockHash, KeySize: f.keySize(), ValueSize: 8, MaxEntries: capacity})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, hash)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "least_splice", Type: ebpf.SkMsg, AttachType: ebpf.AttachSkMsgVerdict, Instructions: send(f, hash), License: "Dual BSD/GPL",
	})
	if err != nil {
		return nil, err
	}
	// The hash holds the program, until the last descriptor of it is closed.
	err = link.RawAttachProgram(link.RawAttachProgramOptions{Target: hash.FD(), Program: p, Attach: ebpf.AttachSkMsgVerdict})
	return hash, errors.Join(err, p.Close())
}

// Close splices no further connection. Those that are keep their way to the end
// of their sockets.
func (s *Splice) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i].Close())
	}
	s.closers = nil
	return errors.Join(errs...)
}
