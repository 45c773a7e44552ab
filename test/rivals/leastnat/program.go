// SPDX-License-Identifier: Apache-2.0

package leastnat

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf/asm"
)

const (
	noPrealloc = 1 // BPF_F_NO_PREALLOC
	noExist    = 1 // BPF_NOEXIST

	tcShot = 2
	tcNext = -1

	// struct __sk_buff.
	skbProtocol         = 16
	skbData, skbDataEnd = 76, 80

	ethernet           = 14
	protoTCP, protoUDP = 6, 17
)

// family is where an address family has what a NAT looks at, and how large
// that is.
type family struct {
	name string
	// etherType, as a program reads it; address is the length of one.
	etherType, address int
	// Offsets from the beginning of the packet.
	protocol, source, header int
}

var (
	ipv4 = family{"flows4", 0x0800, 4, ethernet + 9, ethernet + 12, ethernet + 20}
	ipv6 = family{"flows6", 0x86dd, 16, ethernet + 6, ethernet + 8, ethernet + 40}
)

// A key is source, destination, both ports, the protocol and three bytes of
// nothing: 16 or 40 bytes. A value is the tuple that the packet gets, without
// protocol; the index of a veth; and what the checksums differ by: for the
// addresses, and for all. It is 24 or 48 bytes.
func (f family) keySize() int   { return 2*f.address + 8 }
func (f family) valueSize() int { return 2*f.address + 16 }

// Offsets in both.
func (f family) destination() int { return f.address }
func (f family) ports() int       { return 2 * f.address }

// Offsets in a value.
func (f family) veth() int            { return 2*f.address + 4 }
func (f family) addressDiff() int     { return 2*f.address + 8 }
func (f family) wholeDiff() int       { return 2*f.address + 12 }
func (f family) of(a netip.Addr) bool { return a.Is4() == (f.address == 4) }

// transport is a protocol with ports.
type transport struct {
	name             string
	number           uint8
	checksum, length int
}

var transports = []transport{{"tcp", protoTCP, 16, 20}, {"udp", protoUDP, 6, 8}}

// Places on the stack, from its end down: the packet's tuple and its rewrite,
// the tuple of the answer and that one's.
func (f family) key() int        { return -f.keySize() }
func (f family) value() int      { return f.key() - f.valueSize() }
func (f family) replyKey() int   { return f.value() - f.keySize() }
func (f family) replyValue() int { return f.replyKey() - f.valueSize() }

// program is what Attach attaches. R6 is the context, R7 and R8 the beginning
// and the end of the packet.
func (n *NAT) program(r Rules) (asm.Instructions, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, skbData, asm.Word),
		asm.LoadMem(asm.R8, asm.R6, skbDataEnd, asm.Word),
		asm.LoadMem(asm.R2, asm.R6, skbProtocol, asm.Word),
		asm.JEq.Imm(asm.R2, big16(uint16(ipv6.etherType)), ipv6.name),
		asm.JNE.Imm(asm.R2, big16(uint16(ipv4.etherType)), "next"),
	}
	for _, f := range []family{ipv4, ipv6} {
		code = append(code, asm.Mov.Reg(asm.R3, asm.R7).WithSymbol(f.name), asm.Add.Imm(asm.R3, int32(f.header)),
			asm.JGT.Reg(asm.R3, asm.R8, "next"))
		code = append(code, r.neighbors(f)...)
		if f == ipv4 {
			// Ports are behind the header, whose length this is.
			code = append(code, asm.LoadMem(asm.R2, asm.R7, ethernet, asm.Byte), asm.JNE.Imm(asm.R2, 0x45, "next"))
		}
		code = append(code, asm.LoadMem(asm.R2, asm.R7, int16(f.protocol), asm.Byte))
		for _, t := range transports {
			code = append(code, asm.JEq.Imm(asm.R2, int32(t.number), f.name+t.name))
		}
		code = append(code, r.untranslated(f)...)
		for _, t := range transports {
			code = append(code, n.translate(r, f, t)...)
		}
	}
	code = append(code,
		asm.Mov.Imm(asm.R0, tcNext).WithSymbol("next"), asm.Return(),
		asm.Mov.Imm(asm.R0, tcShot).WithSymbol("drop"), asm.Return(),
	)
	for i, to := range r.Neighbors {
		way, err := to.Code()
		if err != nil {
			return nil, err
		}
		code = append(code, at(neighbor(i), way)...)
	}
	way, err := r.out()
	if err != nil {
		return nil, err
	}
	return append(code, at("out", way)...), nil
}

// out sends on what has been translated; R8 is the veth that its entry names.
func (r Rules) out() (asm.Instructions, error) {
	if r.Out != nil {
		return r.Out.Code()
	}
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R8),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirectPeer.Call(),
		asm.Return(),
	}, nil
}

// untranslated has nothing leave that has no ports, such as an error about a
// datagram: it would show the container's address.
func (r Rules) untranslated(f family) asm.Instructions {
	var code asm.Instructions
	for i, m := range r.Masquerade {
		if f.of(m.To) {
			other := fmt.Sprintf("%s untranslated %d not", f.name, i)
			code = append(code, f.compare(asm.R7, f.source+f.address, m.To, other)...)
			code = append(code, asm.Ja.Label("drop"), asm.Mov.Reg(asm.R7, asm.R7).WithSymbol(other))
		}
	}
	return append(code, asm.Ja.Label("next"))
}

// neighbors compares the destination with theirs.
func (r Rules) neighbors(f family) asm.Instructions {
	var code asm.Instructions
	for i, to := range r.Neighbors {
		if f.of(to.To) {
			code = append(code, f.compare(asm.R7, f.source+f.address, to.To, neighbor(i)+" not")...)
			code = append(code, asm.Ja.Label(neighbor(i)), asm.Mov.Reg(asm.R7, asm.R7).WithSymbol(neighbor(i)+" not"))
		}
	}
	return code
}

// compare goes on where there is the address, and to other where there is not.
func (f family) compare(base asm.Register, place int, a netip.Addr, other string) asm.Instructions {
	if f == ipv4 {
		to := a.As4()
		return asm.Instructions{
			asm.LoadMem(asm.R4, base, int16(place), asm.Word),
			asm.JNE.Imm32(asm.R4, int32(binary.NativeEndian.Uint32(to[:])), other),
		}
	}
	to := a.As16()
	var code asm.Instructions
	for _, half := range []int{8, 0} { // what tells addresses of a subnet apart comes first
		code = append(code,
			asm.LoadMem(asm.R4, base, int16(place+half), asm.DWord),
			asm.LoadImm(asm.R3, int64(binary.NativeEndian.Uint64(to[half:])), asm.DWord),
			asm.JNE.Reg(asm.R4, asm.R3, other))
	}
	return code
}

// translate is all that happens to packets of one family and protocol.
func (n *NAT) translate(r Rules, f family, t transport) asm.Instructions {
	label := f.name + t.name
	code := asm.Instructions{
		asm.Mov.Reg(asm.R3, asm.R7).WithSymbol(label), asm.Add.Imm(asm.R3, int32(f.header+t.length)),
		asm.JGT.Reg(asm.R3, asm.R8, "next"),
	}
	code = append(code, f.copy(asm.RFP, f.key(), asm.R7, f.source, 2*f.address)...)
	code = append(code, f.copy(asm.RFP, f.key()+f.ports(), asm.R7, f.header, 4)...)
	code = append(code,
		asm.StoreImm(asm.RFP, int16(f.key()+f.ports()+4), int64(t.number), asm.Word),
		asm.LoadMapPtr(asm.R1, n.tables[f].FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, int32(f.key())),
		asm.FnMapLookupElem.Call(),
		asm.Mov.Reg(asm.R9, asm.R0),
		asm.JEq.Imm(asm.R9, 0, label+" new"),
	)
	code = append(code, at(label+" known", n.rewrite(f, t))...)
	return append(code, n.begin(r, f, t)...)
}

// at gives code a place to jump to.
func at(label string, code asm.Instructions) asm.Instructions {
	code[0] = code[0].WithSymbol(label)
	return code
}

func neighbor(i int) string { return fmt.Sprintf("neighbor %d", i) }

// big16 is a number of the network's order as a program reads it.
func big16(v uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
}
