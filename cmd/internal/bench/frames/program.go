// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

const (
	// What a frame's head may hold: Ethernet, IPv6 and UDP, rounded up to whole words.
	headLength = 64
	word       = 8

	xdpDrop  = 1
	tcShot   = 2
	tcNext   = -1
	protoUDP = 17

	// Fields of the contexts struct xdp_md and struct __sk_buff.
	xdpData, xdpDataEnd = 0, 4
	skbProtocol         = 16
	etherTypeIPv4       = 0x0008 // as it lies in memory of a little-endian machine
	protocolIPv4        = 23
	nextHeaderIPv6      = 20

	licence = "Dual BSD/GPL"
)

// heads makes the table of what frames begin with, one entry for each flow.
func heads(frames [][]byte) (*ebpf.Map, error) {
	table, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "bench_heads", Type: ebpf.Array, KeySize: 4, ValueSize: headLength, MaxEntries: uint32(len(frames)),
	})
	if err != nil {
		return nil, fmt.Errorf("make the table of heads: %w", err)
	}
	keys, values := make([]uint32, len(frames)), make([][headLength]byte, len(frames))
	for i, frame := range frames {
		keys[i] = uint32(i)
		copy(values[i][:], frame)
	}
	if _, err := table.BatchUpdate(keys, values, nil); err != nil {
		table.Close()
		return nil, fmt.Errorf("fill the table of heads: %w", err)
	}
	return table, nil
}

// sender is an XDP program that puts the next flow's head on the frame that it is given, and sends it out of a device. It
// writes all of the head every time: the kernel uses a frame's page again as it comes back, rewritten by the way it took.
func sender(device int, table, place *ebpf.Map) (*ebpf.Program, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		// place[0]++ says whose turn it is.
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, place.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R7, asm.R0, 0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R7), asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mod.Imm(asm.R7, int32(table.MaxEntries())),
		asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, table.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R2, asm.R6, xdpData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, xdpDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, headLength),
		asm.JGT.Reg(asm.R4, asm.R3, "drop"),
	}
	for offset := int16(0); offset < headLength; offset += word {
		code = append(code,
			asm.LoadMem(asm.R1, asm.R0, offset, asm.DWord),
			asm.StoreMem(asm.R2, offset, asm.R1, asm.DWord))
	}
	code = append(code,
		asm.Mov.Imm(asm.R1, int32(device)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return(),
	)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "bench_send", Type: ebpf.XDP, Instructions: code, License: licence})
	if err != nil {
		return nil, fmt.Errorf("load the sender: %w", err)
	}
	return program, nil
}

// counter is a program for the receiver's tc ingress that counts UDP datagrams and drops them: the earliest place by which
// all ways come, that of bpf_redirect_peer too. What else arrives it lets through, since neighbours have to be resolved.
func counter(arrived *ebpf.Map) (*ebpf.Program, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, skbProtocol, asm.Word),
		asm.JEq.Imm(asm.R7, etherTypeIPv4, "ipv4"),
		asm.LoadAbs(nextHeaderIPv6, asm.Byte),
		asm.Ja.Label("check"),
		asm.LoadAbs(protocolIPv4, asm.Byte).WithSymbol("ipv4"),
		asm.JNE.Imm(asm.R0, protoUDP, "pass").WithSymbol("check"),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, arrived.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, tcShot),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcNext).WithSymbol("pass"),
		asm.Return(),
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "bench_count", Type: ebpf.SchedCLS, Instructions: code, License: licence})
	if err != nil {
		return nil, fmt.Errorf("load the counter: %w", err)
	}
	return program, nil
}

// tally makes a map with one number for each CPU.
func tally(name string) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make the map %s: %w", name, err)
	}
	return m, nil
}

// sum adds up what the CPUs have counted.
func sum(m *ebpf.Map) (uint64, error) {
	var each []uint64
	if err := m.Lookup(uint32(0), &each); err != nil {
		return 0, fmt.Errorf("read a counter: %w", err)
	}
	var total uint64
	for _, n := range each {
		total += n
	}
	return total, nil
}
