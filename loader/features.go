// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Features is what the kernel can do.
type Features struct {
	Kernel       string // such as 6.18
	TCX          bool   // attach points with an order, updated in place (6.6)
	ChecksumIPv6 bool   // bpf_l4_csum_replace knows BPF_F_IPV6 (6.16, and some stable releases)
	Defragment   bool   // fragments are put together where a netfilter program asks for it (6.6)
}

// Names lists the features that the kernel has, for people.
func (f Features) Names() []string {
	names := []string{"kernel-" + f.Kernel}
	if f.TCX {
		names = append(names, "tcx")
	}
	if f.ChecksumIPv6 {
		names = append(names, "csum-ipv6")
	}
	if f.Defragment {
		names = append(names, "defragment")
	}
	return names
}

const (
	btfPath = "/sys/kernel/btf/vmlinux"
	// flagChecksumIPv6 is BPF_F_IPV6 of bpf_l4_csum_replace.
	flagChecksumIPv6 = 1 << 7
	flagPseudoHeader = 1 << 4
)

// Probe finds out what the kernel can do. It fails with ErrKernelTooOld, ErrNoBTF or ErrMissingCapability when that is
// too little.
func Probe() (Features, error) {
	version, err := features.LinuxVersionCode()
	if err != nil {
		return Features{}, fmt.Errorf("find the kernel's version: %w", err)
	}
	f := Features{Kernel: fmt.Sprintf("%d.%d", version>>16, version>>8&0xff)}
	if version < 6<<16|1<<8 {
		return f, fmt.Errorf("kernel %s: %w", f.Kernel, ErrKernelTooOld)
	}
	if err := checkCapabilities(); err != nil {
		return f, err
	}
	if _, err := os.Stat(btfPath); errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("%s does not exist: %w", btfPath, ErrNoBTF)
	}
	if f.TCX, err = probeTCX(); err != nil {
		return f, err
	}
	if f.ChecksumIPv6, err = probeChecksumIPv6(); err != nil {
		return f, err
	}
	if f.Defragment, err = probeDefragment(); err != nil {
		return f, err
	}
	return f, nil
}

func checkCapabilities() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	have := uint64(data[0].Effective) | uint64(data[1].Effective)<<32
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}} {
		if have&(1<<c.bit) == 0 && have&(1<<unix.CAP_SYS_ADMIN) == 0 {
			return fmt.Errorf("%w: %s", ErrMissingCapability, c.name)
		}
	}
	return nil
}

func probeTCX() (bool, error) {
	// Interface 1 is lo, in every network namespace.
	_, err := link.QueryPrograms(link.QueryOptions{Target: 1, Attach: ebpf.AttachTCXIngress})
	if errors.Is(err, link.ErrNotSupported) || errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("probe for tcx: %w", err)
	}
	return true, nil
}

// probeChecksumIPv6 runs a program that changes nothing with the flag: a kernel that does not know it says EINVAL.
func probeChecksumIPv6() (bool, error) {
	const ethernet, ipv6, tcp, checksumOffset = 14, 40, 20, 16
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "vw_probe", Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, ethernet+ipv6+checksumOffset),
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, 0),
			asm.Mov.Imm(asm.R5, flagChecksumIPv6|flagPseudoHeader),
			asm.FnL4CsumReplace.Call(),
			asm.Return(),
		},
	})
	if err != nil {
		return false, wrapPermission("probe for IPv6 checksums", err)
	}
	defer prog.Close()
	packet := make([]byte, ethernet+ipv6+tcp)
	packet[12], packet[13], packet[14] = 0x86, 0xdd, 0x60
	ret, err := prog.Run(&ebpf.RunOptions{Data: packet})
	if err != nil {
		return false, fmt.Errorf("probe for IPv6 checksums: %w", err)
	}
	return ret == 0, nil
}

// wrapPermission turns the kernel's EPERM into ErrMissingCapability.
func wrapPermission(what string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s: %w: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed: %w", what, ErrMissingCapability, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
