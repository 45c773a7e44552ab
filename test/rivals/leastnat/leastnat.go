// SPDX-License-Identifier: Apache-2.0

// Package leastnat is the programs of package redirect with what no NAT that
// keeps state can be without, and nothing else:
//
//	each packet      one look-up of a hash by the packet's own tuple, whose
//	                 value is the complete rewrite; the addresses and ports,
//	                 and the checksums by difference
//	a new flow       two inserts, one for each direction, that fail where there
//	                 is such an entry already; into a hash without preallocation,
//	                 so that memory is taken as flows come
//
// What is published, whose source is translated and where everybody is, is
// written into the programs. There is no policy, no check of the sender, no
// time, no state of TCP, no counter, no route, no fragment, no IP option, no
// TTL, and nothing is ever collected. So no programs that translate can do
// less between the same interfaces.
package leastnat

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/test/rivals/redirect"
)

// capacity is how many entries each table has room for: two for a flow.
const capacity = 1 << 20

// Published is a port of the host's, and who has it.
type Published struct {
	Proto        uint8
	Host, Target netip.AddrPort
	// Veth is the index of the host's side of the target's veth.
	Veth int
}

// Masqueraded is what a container sends to one destination: it gets another
// source address.
type Masqueraded struct {
	To, As netip.Addr
	// Veth is the index of the host's side of the container's veth.
	Veth int
}

// Rules are what a program does to the packets of one interface.
type Rules struct {
	// Neighbors get what is for them as it is: no flow is kept of that.
	Neighbors  []redirect.Route
	Published  []Published
	Masquerade []Masqueraded
	// Out is where translated packets go that do not go to a veth: the route to
	// the remote. Without it they go to the veth that their entry names.
	Out *redirect.Route
}

// NAT is the tables that the programs of a host share.
type NAT struct {
	tables  map[family]*ebpf.Map
	summed  summed
	closers []io.Closer
}

// New makes the tables.
func New() (*NAT, error) {
	n := &NAT{tables: map[family]*ebpf.Map{}}
	var err error
	if n.summed, err = findSummed(); err != nil {
		return nil, fmt.Errorf("make the tables of a NAT: %w", err)
	}
	for _, f := range []family{ipv4, ipv6} {
		table, err := ebpf.NewMap(&ebpf.MapSpec{
			Name: f.name, Type: ebpf.Hash, KeySize: uint32(f.keySize()), ValueSize: uint32(f.valueSize()), MaxEntries: capacity,
			Flags: noPrealloc,
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make the tables of a NAT: %w", err), n.Close())
		}
		n.tables[f] = table
		n.closers = append(n.closers, table)
	}
	return n, nil
}

// Attach puts a program at the tcx ingress of an interface, in the network
// namespace of the caller.
func (n *NAT) Attach(device int, r Rules) error {
	code, err := n.program(r)
	if err != nil {
		return fmt.Errorf("attach a NAT to interface %d: %w", device, err)
	}
	attached, err := redirect.AttachCode(device, ebpf.AttachTCXIngress, "least_nat", code)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, attached)
	return nil
}

// Flows is how many flows are kept.
func (n *NAT) Flows() (int, error) {
	entries, err := n.all((*ebpf.Map).BatchLookup)
	if err != nil {
		return 0, fmt.Errorf("count the flows of a NAT: %w", err)
	}
	return entries / 2, nil
}

// Forget takes all flows away.
func (n *NAT) Forget() error {
	if _, err := n.all((*ebpf.Map).BatchLookupAndDelete); err != nil {
		return fmt.Errorf("empty the tables of a NAT: %w", err)
	}
	return nil
}

// batch is one of a map's functions for many entries.
type batch func(m *ebpf.Map, at *ebpf.MapBatchCursor, keys, values any, o *ebpf.BatchOptions) (int, error)

func (n *NAT) all(do batch) (int, error) {
	four, err := drain[[16]byte, [24]byte](n.tables[ipv4], do)
	if err != nil {
		return 0, err
	}
	six, err := drain[[40]byte, [48]byte](n.tables[ipv6], do)
	return four + six, err
}

// drain goes through all entries, and counts them.
func drain[K, V any](m *ebpf.Map, do batch) (entries int, err error) {
	const most = 4096
	keys, values := make([]K, most), make([]V, most)
	for at := new(ebpf.MapBatchCursor); ; {
		n, err := do(m, at, keys, values, nil)
		entries += n
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return entries, nil // that was the last batch
		}
		if err != nil {
			return 0, err
		}
	}
}

// Close takes the programs off their interfaces, and the tables away.
func (n *NAT) Close() error {
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i].Close())
	}
	n.closers = nil
	return errors.Join(errs...)
}
