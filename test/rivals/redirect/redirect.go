// SPDX-License-Identifier: Apache-2.0

// Package redirect moves packets from interface to interface by the smallest
// programs that tc can have: the destination is compared with a few addresses,
// and all that a program does for one of them is a constant in it. There is no
// map, no state, no translation and no checksum, so no program that does more
// can be faster between the same interfaces.
package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// Route is where packets to one address go: to the other end of a veth, or out
// of an interface.
type Route struct {
	To netip.Addr
	// Veth is the index of this side of the veth whose other end gets them.
	Veth int
	// Device is the index of the interface that they leave by instead, from
	// its own MAC address to that of the next hop. Without any they keep those
	// that they have.
	Device           int
	Source, Neighbor net.HardwareAddr
}

const (
	macLength = 6

	// Ethernet's header before it, the destination's place in that of IP, and
	// how much of a packet has to be there to read it.
	destination4, headers4 = 14 + 16, 14 + 20
	destination6, headers6 = 14 + 24, 14 + 40

	// struct __sk_buff.
	skbPacketType, skbProtocol = 4, 16
	skbData, skbDataEnd        = 76, 80

	packetHost = 0  // PACKET_HOST
	tcxNext    = -1 // TCX_NEXT
)

// Attach puts a program before all others at the tcx ingress of an interface,
// in the network namespace of the caller. What goes to none of the routes it
// leaves alone. It is gone when it is closed, or with this process.
func Attach(device int, routes []Route) (io.Closer, error) {
	return attach(device, ebpf.AttachTCXIngress, routes)
}

// AttachEgress does so for what the host itself sends by the interface. From
// there nothing gets to the other end of a veth: its routes have a Device.
func AttachEgress(device int, routes []Route) (io.Closer, error) {
	return attach(device, ebpf.AttachTCXEgress, routes)
}

func attach(device int, at ebpf.AttachType, routes []Route) (io.Closer, error) {
	code, err := program(routes)
	if err != nil {
		return nil, fmt.Errorf("attach redirects to interface %d: %w", device, err)
	}
	return AttachCode(device, at, "redirect", code)
}

// AttachCode does so with a program that is more than redirects.
func AttachCode(device int, at ebpf.AttachType, name string, code asm.Instructions) (io.Closer, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.SchedCLS, AttachType: at, Instructions: code, License: "Dual BSD/GPL",
	})
	if err != nil {
		return nil, fmt.Errorf("attach %s to interface %d: %w", name, device, err)
	}
	attached, err := link.AttachTCX(link.TCXOptions{Interface: device, Program: p, Attach: at, Anchor: link.Head()})
	// The link holds the program.
	if err = errors.Join(err, p.Close()); err != nil {
		return nil, fmt.Errorf("attach %s to interface %d: %w", name, device, err)
	}
	return attached, nil
}

// program compares the destination with that of each route, in their order.
func program(routes []Route) (asm.Instructions, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, skbData, asm.Word),
		asm.LoadMem(asm.R8, asm.R6, skbDataEnd, asm.Word),
		asm.LoadMem(asm.R2, asm.R6, skbProtocol, asm.Word),
		asm.JEq.Imm(asm.R2, etherType(0x86dd), "ipv6"),
		asm.JNE.Imm(asm.R2, etherType(0x0800), "next"),
		asm.Mov.Reg(asm.R3, asm.R7), asm.Add.Imm(asm.R3, headers4),
		asm.JGT.Reg(asm.R3, asm.R8, "next"),
		asm.LoadMem(asm.R4, asm.R7, destination4, asm.Word),
	}
	for i, r := range routes {
		if r.To.Is4() {
			to := r.To.As4()
			code = append(code, asm.JEq.Imm32(asm.R4, int32(binary.NativeEndian.Uint32(to[:])), label(i)))
		}
	}
	code = append(code,
		asm.Ja.Label("next"),
		asm.Mov.Reg(asm.R3, asm.R7).WithSymbol("ipv6"), asm.Add.Imm(asm.R3, headers6),
		asm.JGT.Reg(asm.R3, asm.R8, "next"),
		// What tells addresses of a subnet apart comes first.
		asm.LoadMem(asm.R4, asm.R7, destination6+8, asm.DWord),
		asm.LoadMem(asm.R5, asm.R7, destination6, asm.DWord),
	)
	for i, r := range routes {
		if r.To.Is6() {
			code = append(code, compare6(r.To.As16(), i)...)
		}
	}
	code = append(code,
		asm.Mov.Imm(asm.R0, tcxNext).WithSymbol("next"),
		asm.Return(),
	)
	for i, r := range routes {
		way, err := r.Code()
		if err != nil {
			return nil, err
		}
		way[0] = way[0].WithSymbol(label(i))
		code = append(code, way...)
	}
	return code, nil
}

func compare6(to [16]byte, i int) asm.Instructions {
	other := label(i) + " not"
	low, high := binary.NativeEndian.Uint64(to[8:]), binary.NativeEndian.Uint64(to[:8])
	return asm.Instructions{
		asm.LoadImm(asm.R3, int64(low), asm.DWord),
		asm.JNE.Reg(asm.R4, asm.R3, other),
		asm.LoadImm(asm.R3, int64(high), asm.DWord),
		asm.JEq.Reg(asm.R5, asm.R3, label(i)),
		asm.Mov.Reg(asm.R4, asm.R4).WithSymbol(other), // a place to jump to
	}
}

// Code sends a packet on: R6 is the context, R7 where its data begins.
func (r Route) Code() (asm.Instructions, error) {
	if r.Veth != 0 {
		return asm.Instructions{
			// What a bridge port receives is for somebody else by its MAC
			// address. Up to Linux 6.14 it would still be so in the container.
			asm.LoadMem(asm.R2, asm.R6, skbPacketType, asm.Word),
			asm.JEq.Imm(asm.R2, packetHost, "host "+r.To.String()),
			asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, packetHost),
			asm.FnSkbChangeType.Call(),
			asm.Mov.Imm(asm.R1, int32(r.Veth)).WithSymbol("host " + r.To.String()),
			asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirectPeer.Call(),
			asm.Return(),
		}, nil
	}
	leave := asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(r.Device)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
	if r.Source == nil && r.Neighbor == nil && r.Device != 0 {
		return leave, nil
	}
	if len(r.Source) != macLength || len(r.Neighbor) != macLength {
		return nil, fmt.Errorf("redirect what goes to %s: from %q to %q are no MAC addresses", r.To, r.Source, r.Neighbor)
	}
	header := append(append([]byte{}, r.Neighbor...), r.Source...)
	return append(asm.Instructions{
		asm.LoadImm(asm.R2, int64(binary.NativeEndian.Uint64(header)), asm.DWord),
		asm.StoreMem(asm.R7, 0, asm.R2, asm.DWord),
		asm.StoreImm(asm.R7, 8, int64(int32(binary.NativeEndian.Uint32(header[8:]))), asm.Word),
	}, leave...), nil
}

func label(i int) string { return fmt.Sprintf("route %d", i) }

// etherType is a protocol as it lies in memory.
func etherType(v uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
}
