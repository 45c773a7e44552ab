// SPDX-License-Identifier: Apache-2.0

// Package exit is the one table of exit codes of vethway and vethwayd, and the error that carries one.
package exit

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Code is a process's exit status. Codes of our own begin at 70 so that `vethway run` and `vethway exec`, which pass
// a command's status on, are rarely mistaken for it; 126 and 127 are what a shell and Docker use.
type Code int

// The codes; Table says what each means.
const (
	OK      Code = 0
	Failure Code = 1
	Usage   Code = 2

	NoDaemon    Code = 70
	NotFound    Code = 71
	Exists      Code = 72
	Overlap     Code = 73
	BadSubnet   Code = 74
	PoolEmpty   Code = 75
	PortTaken   Code = 76
	BadPublish  Code = 77
	NoNamespace Code = 78
	InUse       Code = 79
	BadAddress  Code = 80
	BadRequest  Code = 81
	ReadOnly    Code = 82
	PortsEmpty  Code = 83

	Capability   Code = 90
	OldKernel    Code = 91
	NoBTF        Code = 92
	Running      Code = 93
	CorruptState Code = 94
	ForeignState Code = 95
	ForeignPins  Code = 96
	BadConfig    Code = 97
	NoBPFFS      Code = 98
	NoCgroup     Code = 99
	SocketBusy   Code = 100

	CannotInvoke   Code = 126
	CommandMissing Code = 127
)

// Entry is a row of the table.
type Entry struct {
	Code    Code
	Name    string
	Meaning string
	Daemon  bool // vethwayd exits with it
	Client  bool // vethway exits with it
}

// Table lists every code, in order.
func Table() []Entry {
	const both = true
	return []Entry{
		{OK, "ok", "done", both, true},
		{Failure, "failure", "something failed that has no code of its own", both, true},
		{Usage, "usage", "unknown command or flag, or wrong arguments", both, true},
		{NoDaemon, "no-daemon", "the daemon does not answer on its socket", false, true},
		{NotFound, "not-found", "no such network, container, endpoint or port", false, true},
		{Exists, "exists", "the name is taken", false, true},
		{Overlap, "overlap", "the subnet overlaps a network, a route or an address of the host", false, true},
		{BadSubnet, "bad-subnet", "not a subnet: host bits set, wrong family, wrong size", false, true},
		{PoolEmpty, "pool-empty", "no subnet or no address is left", false, true},
		{PortTaken, "port-taken", "the host port is taken; the error says by whom", false, true},
		{BadPublish, "bad-publish", "a malformed -p", false, true},
		{NoNamespace, "no-namespace", "the network namespace does not exist, or vanished", false, true},
		{InUse, "in-use", "the network still has endpoints", false, true},
		{BadAddress, "bad-address", "the address is taken, outside of the subnet or reserved", false, true},
		{BadRequest, "bad-request", "the daemon refused the request as malformed", false, true},
		{ReadOnly, "read-only", "asked to change something over the read-only socket", false, true},
		{PortsEmpty, "ports-empty", "no free host port is left in the range", false, true},
		{Capability, "capability", "a Linux capability is missing", both, true},
		{OldKernel, "old-kernel", "the kernel is older than 6.1", both, false},
		{NoBTF, "no-btf", "the kernel carries no BTF (/sys/kernel/btf/vmlinux)", both, false},
		{Running, "running", "another daemon runs on the same state", both, true},
		{CorruptState, "corrupt-state", "the state file is damaged", both, true},
		{ForeignState, "foreign-state", "the state file was written by something else, or by a newer version", both, true},
		{ForeignPins, "foreign-pins", "another program's objects are pinned in our bpffs directory", both, true},
		{BadConfig, "bad-config", "the configuration does not make sense", both, false},
		{NoBPFFS, "no-bpffs", "no BPF file system, and it cannot be mounted", both, true},
		{NoCgroup, "no-cgroup", "no cgroup v2 hierarchy is mounted", both, true},
		{SocketBusy, "socket-busy", "the API socket cannot be opened", both, false},
		{CannotInvoke, "cannot-invoke", "run, exec: the command is there but cannot be started", false, true},
		{CommandMissing, "command-missing", "run, exec: the command is not found", false, true},
	}
}

// Name returns the code's name in the table.
func (c Code) Name() string {
	for _, e := range Table() {
		if e.Code == c {
			return e.Name
		}
	}
	return fmt.Sprintf("code %d", int(c))
}

// Print writes the rows that keep holds for.
func Print(w io.Writer, keep func(Entry) bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CODE\tNAME\tMEANING")
	for _, e := range Table() {
		if keep(e) {
			fmt.Fprintf(tw, "%d\t%s\t%s\n", int(e.Code), e.Name, e.Meaning)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("print exit codes: %w", err)
	}
	return nil
}
