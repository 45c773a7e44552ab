// SPDX-License-Identifier: Apache-2.0

package loader

import "errors"

// What Open fails with, beside errors of the kernel's.
var (
	// ErrForeignPin: a file in the pin directory is not ours, or not as we would have made it.
	ErrForeignPin = errors.New("not a pin of ours")
	// ErrKernelTooOld: before 6.1.
	ErrKernelTooOld = errors.New("the kernel is too old: 6.1 or newer is needed")
	// ErrNoBTF: the kernel carries no type information.
	ErrNoBTF = errors.New("the kernel carries no BTF: CONFIG_DEBUG_INFO_BTF=y is needed")
	// ErrMissingCapability: the process may not load programs or attach them.
	ErrMissingCapability = errors.New("missing capability")
	// ErrNoTCX: tcx was asked for, and the kernel has none (before 6.6).
	ErrNoTCX = errors.New("the kernel has no tcx: 6.6 or newer is needed")
	// ErrNoDefragment: the kernel puts no fragments together for a program (before 6.6).
	ErrNoDefragment = errors.New("the kernel puts no fragments together for programs: 6.6 or newer is needed")
	// ErrNoSplice: there is no cgroup, or the kernel cannot do it.
	ErrNoSplice = errors.New("connections cannot be spliced: a cgroup v2 and a kernel with CONFIG_NET_SOCK_MSG are needed")
	// ErrNoDevice: an interface to attach to does not exist.
	ErrNoDevice = errors.New("no such interface")
)
