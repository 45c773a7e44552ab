// SPDX-License-Identifier: Apache-2.0

package leastsplice

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

const (
	// struct bpf_sock_ops.
	opsOp, opsFamily = 0, 20

	activeEstablished, passiveEstablished = 4, 5 // BPF_SOCK_OPS_*_ESTABLISHED_CB

	ingress = 1 // BPF_F_INGRESS
	pass    = 1 // SK_PASS; any verdict of sock_ops

	wordSize = 4
)

// family is how the kernel shows the ends of a connection: an address in words,
// the remote port as it is on the wire, in the upper half of a word, the local
// one as a number.
type family struct {
	name   string
	number int32 // AF_INET, AF_INET6
	words  int   // of an address
	// Where struct bpf_sock_ops and struct sk_msg_md have them.
	ops, msg ends
}

type ends struct{ remote, local, remotePort, localPort int16 }

func families() []family {
	return []family{
		{"least_splice4", 2, 1, ends{24, 28, 64, 68}, ends{20, 24, 60, 64}},
		{"least_splice6", 10, 4, ends{32, 48, 64, 68}, ends{28, 44, 60, 64}},
	}
}

func (f family) has(a netip.Addr) bool { return a.BitLen() == f.words*wordSize*8 }

// A key is what the sender has: remote address, local address, remote port,
// local port.
func (f family) keySize() uint32 { return uint32((2*f.words + 2) * wordSize) }

// key is where on the stack a word of it is.
func (f family) key(word int) int16 { return int16(word*wordSize) - int16(f.keySize()) }

// load puts words of the context, which is in R6, into the key.
func (f family) load(from int16, words, to int) (code asm.Instructions) {
	for i := range words {
		code = append(code,
			asm.LoadMem(asm.R2, asm.R6, from+int16(i*wordSize), asm.Word),
			asm.StoreMem(asm.R10, f.key(to+i), asm.R2, asm.Word),
		)
	}
	return code
}

// at has a register point to the key.
func (f family) at(r asm.Register) asm.Instructions {
	return asm.Instructions{asm.Mov.Reg(r, asm.R10), asm.Add.Imm(r, -int32(f.keySize()))}
}

// send is the program of what a socket sends. Where the other end is not in the hash, which is so until it has seen the last packet of the
// handshake, the bytes go as packets; then those that follow go so, too, for 4 GiB: they would be read before them.
//
// A verdict to redirect is not kept so, though it could be: then nothing would look at what waits for the reader, and the kernel sets that no limit.
func send(f family, hash *ebpf.Map) asm.Instructions {
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	code = append(code, f.load(f.msg.remote, f.words, 0)...)
	code = append(code, f.load(f.msg.local, f.words, f.words)...)
	code = append(code, f.load(f.msg.remotePort, 1, 2*f.words)...)
	code = append(code, f.load(f.msg.localPort, 1, 2*f.words+1)...)
	code = append(code, asm.Mov.Reg(asm.R1, asm.R6), asm.LoadMapPtr(asm.R2, hash.FD()))
	code = append(code, f.at(asm.R3)...)
	return append(code,
		asm.Mov.Imm(asm.R4, ingress),
		asm.FnMsgRedirectHash.Call(),
		asm.JEq.Imm(asm.R0, pass, "redirected"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm32(asm.R2, -1),
		asm.FnMsgApplyBytes.Call(),
		asm.Mov.Imm(asm.R0, pass).WithSymbol("redirected"),
		asm.Return(),
	)
}

// join puts a socket that is being established into the hash of its family, by
// the key that the other end will send with.
func join(r Rules, hashes map[family]*ebpf.Map) asm.Instructions {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, opsOp, asm.Word),
		asm.JEq.Imm(asm.R2, activeEstablished, "established"),
		asm.JNE.Imm(asm.R2, passiveEstablished, "out"),
		asm.FnGetNetnsCookie.Call().WithSymbol("established"),
	}
	for _, cookie := range r.Namespaces {
		code = append(code, asm.LoadImm(asm.R2, int64(cookie), asm.DWord), asm.JEq.Reg(asm.R0, asm.R2, "ours"))
	}
	code = append(code,
		asm.Ja.Label("out"),
		asm.LoadMem(asm.R2, asm.R6, opsFamily, asm.Word).WithSymbol("ours"),
	)
	// The kernel wants no code that nothing leads to.
	used := slices.DeleteFunc(families(), func(f family) bool { return !slices.ContainsFunc(r.Addresses, f.has) })
	for _, f := range used {
		code = append(code, asm.JEq.Imm(asm.R2, f.number, f.name))
	}
	code = append(code, asm.Mov.Imm(asm.R0, pass).WithSymbol("out"), asm.Return())
	for _, f := range used {
		code = append(code, f.among(r.Addresses, f.ops.local, f.name, f.name+" local")...)
		code = append(code, f.among(r.Addresses, f.ops.remote, f.name+" local", f.name+" both")...)
		code = append(code, f.insert(hashes[f], f.name+" both")...)
	}
	return code
}

// among leads from one label to another where the address at a place of the
// context is in the list, and else out.
func (f family) among(list []netip.Addr, at int16, from, to string) asm.Instructions {
	code := asm.Instructions{asm.Mov.Imm(asm.R0, pass).WithSymbol(from)}
	words := []asm.Register{asm.R2, asm.R3, asm.R4, asm.R5}[:f.words]
	for i, word := range words {
		code = append(code, asm.LoadMem(word, asm.R6, at+int16(i*wordSize), asm.Word))
	}
	for _, addr := range list {
		if !f.has(addr) {
			continue
		}
		bytes := addr.AsSlice()
		other := fmt.Sprintf("%s not %s", from, addr)
		for i, word := range words {
			code = append(code, asm.JNE.Imm32(word, int32(binary.NativeEndian.Uint32(bytes[i*wordSize:])), other))
		}
		code = append(code, asm.Ja.Label(to), asm.Mov.Reg(asm.R2, asm.R2).WithSymbol(other)) // a place to jump to
	}
	return append(code, asm.Return())
}

// insert swaps the ends, so that a sender can use what it has as it is.
func (f family) insert(hash *ebpf.Map, label string) asm.Instructions {
	code := f.load(f.ops.local, f.words, 0)
	code[0] = code[0].WithSymbol(label)
	code = append(code, f.load(f.ops.remote, f.words, f.words)...)
	code = append(code,
		asm.LoadMem(asm.R2, asm.R6, f.ops.localPort, asm.Word),
		asm.HostTo(asm.BE, asm.R2, asm.Word),
		asm.StoreMem(asm.R10, f.key(2*f.words), asm.R2, asm.Word),
		asm.LoadMem(asm.R2, asm.R6, f.ops.remotePort, asm.Word),
		asm.HostTo(asm.BE, asm.R2, asm.Word),
		asm.StoreMem(asm.R10, f.key(2*f.words+1), asm.R2, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, hash.FD()),
	)
	code = append(code, f.at(asm.R3)...)
	return append(code,
		asm.Mov.Imm(asm.R4, 0), // BPF_ANY
		asm.FnSockHashUpdate.Call(),
		asm.Mov.Imm(asm.R0, pass),
		asm.Return(),
	)
}
