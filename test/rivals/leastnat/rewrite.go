// SPDX-License-Identifier: Apache-2.0

package leastnat

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf/asm"
)

// rewrite gives the packet what its entry says, R9, and sends it on.
func (n *NAT) rewrite(f family, t transport) asm.Instructions {
	label, check := f.name+t.name, f.header+t.checksum
	var code asm.Instructions
	if f == ipv4 {
		const headerChecksum = ethernet + 10
		code = append(code, asm.LoadMem(asm.R1, asm.R7, headerChecksum, asm.Half))
		code = append(code, f.correct(f.addressDiff())...)
		code = append(code, asm.StoreMem(asm.R7, headerChecksum, asm.R1, asm.Half))
	}
	code = append(code, f.copy(asm.R7, f.source, asm.R9, 0, 2*f.address)...)
	code = append(code, f.copy(asm.R7, f.header, asm.R9, f.ports(), 4)...)
	code = append(code, n.summed.load()...)
	code = append(code,
		asm.LoadMem(asm.R1, asm.R7, int16(check), asm.Half),
		asm.JEq.Imm(asm.R0, n.summed.partial, label+" partial"),
	)
	code = append(code, f.correct(f.wholeDiff())...)
	code = append(code, asm.Ja.Label(label+" summed"))
	// A partial checksum knows no ports, and is not inverted yet.
	code = append(code, at(label+" partial", f.add(f.addressDiff()))...)
	return append(code,
		asm.StoreMem(asm.R7, int16(check), asm.R1, asm.Half).WithSymbol(label+" summed"),
		asm.LoadMem(asm.R8, asm.R9, int16(f.veth()), asm.Word),
		asm.Ja.Label("out"),
	)
}

// correct has the checksum in R1 differ by what the entry says.
func (f family) correct(diff int) asm.Instructions {
	code := append(asm.Instructions{asm.Xor.Imm(asm.R1, 0xffff)}, f.add(diff)...)
	return append(code, asm.Xor.Imm(asm.R1, 0xffff))
}

func (f family) add(diff int) asm.Instructions {
	return append(asm.Instructions{
		asm.LoadMem(asm.R2, asm.R9, int16(diff), asm.Word),
		asm.Add.Reg(asm.R1, asm.R2),
	}, fold(asm.R1)...)
}

// fold brings a sum of two numbers of 16 bits to 16 bits.
func fold(sum asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R5, sum),
		asm.RSh.Imm(asm.R5, 16),
		asm.And.Imm(sum, 0xffff),
		asm.Add.Reg(sum, asm.R5),
	}
}

// copy goes by as large steps as there are.
func (f family) copy(to asm.Register, toAt int, from asm.Register, fromAt, length int) asm.Instructions {
	var code asm.Instructions
	for done := 0; done < length; {
		step := asm.DWord
		if length-done < step.Sizeof() {
			step = asm.Word
		}
		code = append(code,
			asm.LoadMem(asm.R1, from, int16(fromAt+done), step),
			asm.StoreMem(to, int16(toAt+done), asm.R1, step))
		done += step.Sizeof()
	}
	return code
}

// change is one side of a tuple that becomes another.
type change struct {
	source bool
	to     netip.Addr
	// port is nothing where it stays.
	port uint16
	// A packet gets to veth, the answer to reply.
	veth, reply int
}

// begin makes the entries of a flow that is not known yet, if there is a rule
// for it.
func (n *NAT) begin(r Rules, f family, t transport) asm.Instructions {
	label := f.name + t.name
	code := asm.Instructions{asm.Mov.Reg(asm.R9, asm.R9).WithSymbol(label + " new")}
	for i, p := range r.Published {
		if p.Proto != t.number || !f.of(p.Host.Addr()) {
			continue
		}
		other := fmt.Sprintf("%s published %d not", label, i)
		code = append(code,
			asm.LoadMem(asm.R4, asm.RFP, int16(f.key()+f.ports()+2), asm.Half),
			asm.JNE.Imm(asm.R4, big16(p.Host.Port()), other))
		code = append(code, f.compare(asm.RFP, f.key()+f.destination(), p.Host.Addr(), other)...)
		code = append(code, n.insert(f, t, change{to: p.Target.Addr(), port: p.Target.Port(), veth: p.Veth})...)
		code = append(code, asm.Ja.Label(label+" known"), asm.Mov.Reg(asm.R9, asm.R9).WithSymbol(other))
	}
	for i, m := range r.Masquerade {
		if !f.of(m.To) {
			continue
		}
		other := fmt.Sprintf("%s masquerade %d not", label, i)
		code = append(code, f.compare(asm.RFP, f.key()+f.destination(), m.To, other)...)
		code = append(code, n.insert(f, t, change{source: true, to: m.As, reply: m.Veth})...)
		code = append(code, asm.Ja.Label(label+" known"), asm.Mov.Reg(asm.R9, asm.R9).WithSymbol(other))
	}
	return append(code, asm.Ja.Label("next"))
}

// insert makes both entries; R9 is that of the packet then. That there is such
// an entry already is a clash of two containers, of which the second gets nothing:
// a NAT proper would try another port.
func (n *NAT) insert(f family, t transport, c change) asm.Instructions {
	side := f.destination()
	if c.source {
		side = 0
	}
	tuple := 2*f.address + 4
	var code asm.Instructions
	if t.number == protoTCP { // nothing but a SYN without ACK begins a connection
		const flags, syn, ack = 13, 0x02, 0x10
		code = append(code,
			asm.LoadMem(asm.R1, asm.R7, int16(f.header+flags), asm.Byte),
			asm.And.Imm(asm.R1, syn|ack),
			asm.JNE.Imm(asm.R1, syn, "drop"))
	}
	code = append(code, f.copy(asm.RFP, f.value(), asm.RFP, f.key(), tuple)...)
	code = append(code, f.difference(f.key()+side, c.to)...)
	code = append(code, f.set(f.value()+side, c.to)...)
	code = append(code, asm.Mov.Reg(asm.R4, asm.R3))
	if c.port != 0 { // the destination's: sources keep theirs
		code = append(code,
			asm.LoadMem(asm.R1, asm.RFP, int16(f.key()+f.ports()+2), asm.Half),
			asm.Xor.Imm(asm.R1, 0xffff),
			asm.Add.Reg(asm.R4, asm.R1))
		code = append(code, fold(asm.R4)...)
		code = append(code, asm.Add.Imm(asm.R4, big16(c.port)))
		code = append(code, fold(asm.R4)...)
		code = append(code, asm.StoreImm(asm.RFP, int16(f.value()+f.ports()+2), int64(big16(c.port)), asm.Half))
	}
	code = append(code, f.finish(f.value(), c.veth)...)
	// The answer's are the same the other way round.
	code = append(code, asm.Xor.Imm(asm.R3, 0xffff), asm.Xor.Imm(asm.R4, 0xffff))
	code = append(code, f.finish(f.replyValue(), c.reply)...)
	code = append(code, f.reverse(f.replyKey(), f.value())...)
	code = append(code, f.reverse(f.replyValue(), f.key())...)
	code = append(code, f.copy(asm.RFP, f.replyKey()+tuple, asm.RFP, f.key()+tuple, 4)...) // the protocol
	code = append(code, n.put(f, f.replyKey(), f.replyValue())...)
	code = append(code, n.put(f, f.key(), f.value())...)
	return append(code, asm.Mov.Reg(asm.R9, asm.RFP), asm.Add.Imm(asm.R9, int32(f.value())))
}

// put inserts an entry of the stack.
func (n *NAT) put(f family, key, value int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, n.tables[f].FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, int32(key)),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, int32(value)),
		asm.Mov.Imm(asm.R4, noExist),
		asm.FnMapUpdateElem.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
	}
}

// finish writes a veth, and the differences in R3 and R4, into a value.
func (f family) finish(value, veth int) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, int16(value+f.veth()), int64(veth), asm.Word),
		asm.StoreMem(asm.RFP, int16(value+f.addressDiff()), asm.R3, asm.Word),
		asm.StoreMem(asm.RFP, int16(value+f.wholeDiff()), asm.R4, asm.Word),
	}
}

// reverse copies a tuple without its protocol, the other way round.
func (f family) reverse(to, from int) asm.Instructions {
	code := f.copy(asm.RFP, to, asm.RFP, from+f.destination(), f.address)
	code = append(code, f.copy(asm.RFP, to+f.destination(), asm.RFP, from, f.address)...)
	return append(code,
		asm.LoadMem(asm.R1, asm.RFP, int16(from+f.ports()), asm.Half),
		asm.LoadMem(asm.R2, asm.RFP, int16(from+f.ports()+2), asm.Half),
		asm.StoreMem(asm.RFP, int16(to+f.ports()), asm.R2, asm.Half),
		asm.StoreMem(asm.RFP, int16(to+f.ports()+2), asm.R1, asm.Half))
}

// set writes an address onto the stack.
func (f family) set(place int, a netip.Addr) asm.Instructions {
	var code asm.Instructions
	for i, w := range words(a) {
		code = append(code, asm.StoreImm(asm.RFP, int16(place+4*i), int64(int32(w)), asm.Word))
	}
	return code
}

// difference has R3 be what the checksum of addresses differs by when the one
// on the stack becomes another.
func (f family) difference(place int, a netip.Addr) asm.Instructions {
	var sum int64
	for _, w := range words(a) {
		sum += int64(w)
	}
	code := asm.Instructions{asm.LoadImm(asm.R3, sum, asm.DWord)}
	for i := range words(a) {
		code = append(code,
			asm.LoadMem(asm.R1, asm.RFP, int16(place+4*i), asm.Word),
			asm.Xor.Imm32(asm.R1, -1),
			asm.Add.Reg(asm.R3, asm.R1))
	}
	// From 35 bits to 34, to 19, to 17, to 16.
	code = append(code,
		asm.Mov.Reg(asm.R5, asm.R3), asm.RSh.Imm(asm.R5, 32), asm.Mov.Reg32(asm.R3, asm.R3), asm.Add.Reg(asm.R3, asm.R5))
	for range 3 {
		code = append(code, fold(asm.R3)...)
	}
	return code
}

// words are an address as a program reads it.
func words(a netip.Addr) []uint32 {
	var list []uint32
	for bytes := a.AsSlice(); len(bytes) > 0; bytes = bytes[4:] {
		list = append(list, binary.NativeEndian.Uint32(bytes))
	}
	return list
}
