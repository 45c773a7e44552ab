// SPDX-License-Identifier: Apache-2.0

// Package exit is the one table of exit codes of vethway and vethwayd, and the error that carries one.
package exit

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/vethway/vethway/control/api"
)

// Code is a process's exit status. What the daemon answers to a request has the status that package api gives it;
// the others are here. 126 and 127 are what a shell and Docker use.
type Code int

// The codes that are not the API's; Table says what each means.
const (
	OK      Code = 0
	Failure Code = 1
	Usage   Code = 2

	BadPublish  Code = 20
	NoNamespace Code = 21
	HostBits    Code = 22
	NoPins      Code = 23

	Capability  Code = 30
	OldKernel   Code = 31
	NoBTF       Code = 32
	ForeignPins Code = 33
	BadConfig   Code = 34
	NoBPFFS     Code = 35
	NoCgroup    Code = 36
	SocketBusy  Code = 37

	CannotInvoke   Code = 126
	CommandMissing Code = 127
)

// Of returns the exit code of an answer of the API.
func Of(c api.Code) Code { return Code(c.ExitCode()) }

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
	const daemon, client = true, true
	return []Entry{
		{OK, "ok", "done", daemon, client},
		{Failure, "failure", "something failed that has no code of its own", daemon, client},
		{Usage, "usage", "unknown command or flag, or wrong arguments", daemon, client},
		{Of(api.InvalidArgument), "invalid-argument", "a value that cannot be right, such as a static address outside of the subnet", false, client},
		{Of(api.NotFound), "not-found", "no such network, container or port", false, client},
		{Of(api.AlreadyExists), "already-exists", "the name is taken", false, client},
		{Of(api.Conflict), "conflict", "the subnet overlaps another, or the address is taken", false, client},
		{Of(api.InUse), "in-use", "the network still has endpoints", false, client},
		{Of(api.PortInUse), "port-in-use", "the host port is taken; the error says by whom", false, client},
		{Of(api.ResourceExhausted), "resource-exhausted", "no subnet, address or port is left", false, client},
		{Of(api.ReadOnly), "read-only", "asked to change something over the read-only socket", false, client},
		{Of(api.Unsupported), "unsupported", "the kernel or this version cannot do it", daemon, client},
		{Of(api.Unavailable), "unavailable", "the daemon does not answer on its socket", daemon, client},
		{Of(api.Canceled), "canceled", "given up before it was done", daemon, client},
		{Of(api.Corrupt), "corrupt-state", "the state file is damaged, or not vethway's", daemon, client},
		{Of(api.Locked), "state-locked", "another daemon runs on the same state", daemon, client},
		{Of(api.Internal), "internal", "the daemon failed in a way it should not", daemon, client},
		{BadPublish, "bad-publish", "a malformed -p", false, client},
		{NoNamespace, "no-namespace", "the network namespace does not exist, or vanished", false, client},
		{HostBits, "host-bits", "a subnet with host bits set", false, client},
		{NoPins, "no-pins", "nothing is pinned: the instance was never started, or uninstalled", false, client},
		{Capability, "capability", "a Linux capability is missing", daemon, client},
		{OldKernel, "old-kernel", "the kernel is older than 6.1", daemon, false},
		{NoBTF, "no-btf", "the kernel carries no BTF (/sys/kernel/btf/vmlinux)", daemon, false},
		{ForeignPins, "foreign-pins", "another program's objects are pinned in our bpffs directory", daemon, client},
		{BadConfig, "bad-config", "the configuration does not make sense", daemon, false},
		{NoBPFFS, "no-bpffs", "no BPF file system, and it cannot be mounted", daemon, client},
		{NoCgroup, "no-cgroup", "no cgroup v2 hierarchy is mounted", daemon, client},
		{SocketBusy, "socket-busy", "the API socket is served by somebody else", daemon, false},
		{CannotInvoke, "cannot-invoke", "run, exec: the command is there but cannot be started", false, client},
		{CommandMissing, "command-missing", "run, exec: the command is not found", false, client},
	}
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
