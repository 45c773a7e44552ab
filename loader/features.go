// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/bpf"
)

// Features is what the kernel can do.
type Features struct {
	Kernel       string // such as 6.18
	TCX          bool   // attach points with an order, updated in place (6.6)
	XDP          bool   // programs of that type, which see frames of any size (5.18)
	Defragment   bool   // fragments are put together where a netfilter program asks for it (6.6)
	KernelPacket bool   // programs may look at struct sk_buff (6.2)
	Clock        Clock  // how the tick counter tells the time
	Splice       bool   // sockets can be given what others send (CONFIG_NET_SOCK_MSG, no lockdown)
}

// Names lists the features that the kernel has, for people.
func (f Features) Names() []string {
	names := []string{"kernel-" + f.Kernel}
	if f.TCX {
		names = append(names, "tcx")
	}
	if f.XDP {
		names = append(names, "xdp")
	}
	if f.Defragment {
		names = append(names, "defragment")
	}
	if f.KernelPacket {
		names = append(names, "direct-checksums")
	}
	if f.Splice {
		names = append(names, "splice")
	}
	return names
}

// Apply sets the constants by which the programs know what the kernel can do.
func (f Features) Apply(spec *ebpf.CollectionSpec) error {
	return setVariables(spec, map[string]any{
		bpf.VethwayVarDirectChecksums: f.KernelPacket,
		bpf.VethwayVarClockBase:       f.Clock.Base,
		bpf.VethwayVarClockMult:       f.Clock.Mult,
	})
}

const btfPath = "/sys/kernel/btf/vmlinux"

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
	if f.Defragment, err = probeDefragment(); err != nil {
		return f, err
	}
	f.XDP = probeXDP()
	if f.KernelPacket, err = probeKernelPacket(); err != nil {
		return f, err
	}
	if f.Clock, err = readClock(); err != nil {
		return f, err
	}
	if f.Splice, err = probeSplice(); err != nil {
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

// probeKernelPacket looks for the function that gives programs the kernel's own view of the packet.
func probeKernelPacket() (bool, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false, fmt.Errorf("read the kernel's types: %w", err)
	}
	var fn *btf.Func
	err = kernel.TypeByName("bpf_cast_to_kern_ctx", &fn)
	if errors.Is(err, btf.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for bpf_cast_to_kern_ctx: %w", err)
	}
	return true, nil
}

// probeXDP loads a program that does nothing: whatever the reason why the kernel takes none, vethway works without.
func probeXDP() bool {
	const xdpPass = 2
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "vw_probe", Type: ebpf.XDP, Flags: unix.BPF_F_XDP_HAS_FRAGS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		return false
	}
	return prog.Close() == nil
}

// wrapPermission turns the kernel's EPERM into ErrMissingCapability.
func wrapPermission(what string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s: %w: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed: %w", what, ErrMissingCapability, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
